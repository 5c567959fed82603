"""Two processes train as one does: the same gradients, and the same state of every rank."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from benchmarks.fit import Trainer
from benchmarks.run import train_task
from methods import METHODS, OptimizerSettings, Recipe
from models import ModelSettings
from tests.conftest import small_split

SMALL = {"dim": 24, "heads": 3, "depth": 1, "buffer_size": 12, "finetune_epochs": 1, "drop_path": 0.0}
CASES = {
    "finetune": {},
    "er": {},
    "dytox": {"sam": 0.5},
    "dne": {},
}
# 40 images: batches of 16, 16 and 8; buffers make others, some of which two ranks cannot share evenly
RECIPE = Recipe(epochs=1, batch_size=16, optimizer=OptimizerSettings(lr=0.05))


def trained(name: str) -> dict[str, torch.Tensor]:
    """Every gradient of the last step and every weight after two tasks."""
    torch.set_num_threads(1)
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    known = METHODS[name]().hyperparameters()
    settings = {k: v for k, v in SMALL.items() if k in known} | CASES[name]
    method = METHODS[name].from_settings(settings).start(scenario, ModelSettings(hidden=(16,)), RECIPE)
    trainer = Trainer()
    for task in scenario.tasks:
        train_task(method, scenario, task, trainer)
    result = {n: p.detach().clone() for n, p in method.network.named_parameters()}
    result |= {f"{n}.grad": p.grad.clone() for n, p in method.network.named_parameters() if p.grad is not None}
    if hasattr(method, "buffer"):
        stored = method.buffer.examples() if callable(method.buffer.examples) else method.buffer.examples
        result["buffer"] = stored.images
    return result | {"flops": torch.tensor(trainer.meter.total)}


def rank(index: int, folder: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=index, world_size=2, timeout=timedelta(seconds=300)
    )
    torch.save({name: trained(name) for name in CASES}, Path(folder) / f"{index}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        mp.spawn(rank, (str(folder),), nprocs=2)
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
    return [torch.load(folder / f"{index}.pt") for index in (0, 1)]


@pytest.mark.parametrize("name", CASES)
def test_gradients_and_weights_are_those_of_one_process(name, results):
    alone = trained(name)
    assert any(n.endswith(".grad") for n in alone)
    for together in results:
        assert together[name].keys() == alone.keys()
        for part, value in alone.items():
            if part == "flops":
                continue
            torch.testing.assert_close(
                together[name][part], value, rtol=1e-4, atol=1e-5, msg=lambda m, p=part: f"{p}: {m}"
            )


@pytest.mark.parametrize("name", CASES)
def test_all_ranks_hold_the_same_bit_for_bit(name, results):
    one, other = (r[name] for r in results)
    for part in one:
        assert torch.equal(one[part], other[part]), part


def test_the_work_is_divided(results):
    assert results[0]["dytox"]["flops"] < 0.75 * trained("dytox")["flops"]
