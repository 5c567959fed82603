"""Every method on a backbone of timm, as pretrained ones are: frozen or fine-tuned, by one setting."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.run import train_task
from methods import METHODS, OptimizerSettings, Recipe
from models import model_settings
from tests.conftest import SETTINGS, small_split
from tests.methods.test_contract import brief

STEP = Recipe(epochs=None, steps=1, batch_size=8, optimizer=OptimizerSettings(lr=0.05), schedule_scale=0.01)
ON_TIMM = [name for name in METHODS if "timm" in METHODS[name].backbones]
OWN = {"pnn", "dytox", "dne", "xdg", "dgr", "generative-classifier"}
"""Those whose network is another kind altogether: columns, task tokens, gates, generators of images."""
ALWAYS_FROZEN = {"linear-probe", "ncm", "knn", "slda", "fecam", "ranpac", "aper", "ease", "inflora", "sd-lora"}
PROMPTED = {"l2p", "dualprompt", "coda-prompt"}


def test_every_method_but_those_with_a_network_of_their_own_takes_one():
    assert set(METHODS) - set(ON_TIMM) <= OWN


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("name", ON_TIMM)
def test_a_step_on_a_vision_transformer(name, frozen):
    setting = next(s for s in reversed(SETTINGS) if METHODS[name].incompatibility(small_split(s).layout) is None)
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3), padding=12)  # 32 pixels, as many as it wants
    model = model_settings({"backbone": "timm:test_vit", "frozen": frozen})
    settings = {"tukey": 1.0} if name == "fecam" else {}
    torch.manual_seed(0)
    method = brief(name, **settings).start(scenario, model, STEP, seed=0)
    before = {
        n: p.detach().clone() for n, p in method.network.named_parameters() if "backbone" in n and "magnitudes" not in n
    }
    for task in scenario.tasks:
        train_task(method, scenario, task)
    rows = evaluate(method, scenario)
    assert all(total == len(task.test) for (_, total), task in zip(rows, scenario.tasks, strict=True))
    now = dict(method.network.named_parameters())
    same = [torch.equal(now[n], p) for n, p in before.items() if n in now]
    if same and (frozen or name in ALWAYS_FROZEN | PROMPTED):
        assert all(same)
    elif same:
        assert not all(same), "the backbone is fine-tuned"


@pytest.mark.parametrize("name", ["er", "ewc", "icarl", "ranpac", "slca", "lwf"])
def test_a_step_on_a_convolutional_network(name):
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3), padding=12)
    method = brief(name).start(scenario, model_settings({"backbone": "timm:test_resnet", "frozen": True}), STEP, seed=0)
    before = {n: t.clone() for n, t in method.network.backbone.state_dict().items()}
    for task in scenario.tasks:
        train_task(method, scenario, task)
    assert all(
        torch.equal(t, before[n]) for n, t in method.network.backbone.state_dict().items()
    )  # running statistics too
