"""Published class orders, and the first classes of one."""

import numpy as np
import pytest
from pydantic import ValidationError

from scenarios import Split
from scenarios.class_orders import published_order, published_orders


def test_every_order_names_each_class_once():
    data = dict.fromkeys((f"dytox-cifar100-{i}" for i in (1, 2, 3)), "cifar100") | {"pycil-1993": "cifar100"}
    data |= {"dytox-imagenet100-1": "imagenet100", "dytox-imagenet1000-1": "imagenet1000"}
    data |= {f"pilot-{name}": f"folder:{name}" for name in ("imagenet-r", "imagenet-a", "cub200", "omnibenchmark")}
    assert sorted(data) == published_orders()
    sizes = {"imagenet1000": 1000, "folder:omnibenchmark": 300} | dict.fromkeys(list(data.values())[-4:-1], 200)
    for name, of in data.items():
        n = sizes.get(of, 100)
        assert sorted(published_order(name, of, n)) == list(range(n))


def test_what_the_sources_say_of_them():
    """Douillard et al. 2022 order 1 starts so; PyCIL draws with numpy's seed 1993."""
    assert published_order("dytox-cifar100-1", "cifar100", 100)[:5] == [87, 0, 52, 58, 44]
    drawn = np.random.RandomState(1993).permutation(100).tolist()
    assert published_order("pycil-1993", "cifar100", 100) == drawn
    drawn = np.random.RandomState(1993).permutation(200).tolist()
    assert published_order("pilot-imagenet-r", "folder:imagenet-r", 200) == drawn


def test_an_order_of_another_data_set_or_an_unknown_one():
    with pytest.raises(ValueError, match="100 classes of cifar100, not of the 10 of digits"):
        Split(data="digits", setting="class", class_order="pycil-1993").build(0)
    with pytest.raises(ValidationError, match="did you mean 'pycil-1993'"):
        Split(data="digits", setting="class", class_order="pycil1993")


def test_orders_that_a_paper_averages_over_are_one_a_seed():
    for seed in range(3):
        order = published_order("dytox-cifar100", "cifar100", 100, seed)
        assert order == published_order(f"dytox-cifar100-{seed + 1}", "cifar100", 100)
    with pytest.raises(ValueError, match="has 3 orders, for seeds 0 to 2"):
        published_order("dytox-cifar100", "cifar100", 100, 3)


def test_only_the_first_classes():
    whole = Split(data="digits", setting="class", class_order="per_seed").build(3).manifest["class_order"]
    scenario = Split(
        data="digits", setting="class", class_order="per_seed", classes=8, first_task_classes=4, tasks=3
    ).build(3)
    assert [len(t.classes) for t in scenario.tasks] == [4, 2, 2]
    assert scenario.manifest["class_order"] == whole[:8]
    assert scenario.layout.n_outputs == 8
    with pytest.raises(ValueError, match="its order has 10"):
        Split(data="digits", setting="class", classes=11, tasks=1).build(0)
