"""Prompt methods: what they choose for an image, and what training leaves as it was."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cell.run import train_task
from methods import METHODS, OptimizerSettings, Recipe
from models import model_settings
from tests.conftest import SMALL_VIT, small_split
from tests.methods.helpers import enter, snapshot, unchanged
from tests.parity.cases import batch_of

# what moves parameters that get a gradient of 0: momentum, and decay of weights
RECIPE = Recipe(epochs=2, batch_size=20, optimizer=OptimizerSettings(name="adamw", lr=0.02, weight_decay=0.1))
SCENARIO = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))
SMALL = {"pool": 6}
CASES = {
    "l2p": ("l2p", {}),
    "l2p++": ("l2p", {"tuning": "prefix", "blocks": 2, "matching": "sum", "low": 0.0}),
    "dualprompt": ("dualprompt", {}),
    "dualprompt of coda": ("dualprompt", {"keys": "block", "matching": "sum", "general_length": 3, "low": 0.0}),
    "coda-prompt": ("coda-prompt", {"ortho": 0.1}),
}


def started(case: str, scenario=SCENARIO, **changes):
    name, settings = CASES[case]
    known = METHODS[name]().hyperparameters()
    small = {k: v for k, v in SMALL.items() if k in known}
    return METHODS[name](**small | settings | changes).start(scenario, SMALL_VIT, RECIPE)


@pytest.mark.parametrize("case", CASES)
def test_the_backbone_stays_bit_for_bit_and_prompts_and_head_learn(case):
    method = started(case)
    backbone, learned = snapshot(method.network.backbone), snapshot(method.network.prompts)
    for task in SCENARIO.tasks[:2]:
        train_task(method, SCENARIO, task)
    assert unchanged(method.network.backbone, backbone)
    assert not unchanged(method.network.prompts, learned)
    own = {*method.network.prompts.parameters(), *method.network.head.parameters()}
    assert {p for p in method.network.parameters() if p.requires_grad} == own
    assert method.parameters_report()["trainable"] == sum(p.numel() for p in own)


@pytest.mark.parametrize("case", ["dualprompt", "dualprompt of coda", "coda-prompt"])
def test_what_belongs_to_other_tasks_is_left_bit_for_bit(case):
    method = started(case)
    for task in SCENARIO.tasks[:2]:
        train_task(method, SCENARIO, task)
    prompts = snapshot(method.network.prompts)
    train_task(method, SCENARIO, SCENARIO.tasks[2])
    for name, value in method.network.prompts.state_dict().items():
        of_a_task = name != "general"
        assert torch.equal(value, prompts[name]) == (of_a_task and not name.endswith(".2")), name


def test_dualprompt_takes_the_prompt_of_the_nearest_key_of_a_task_seen_or_of_the_task_told():
    method = enter(enter(started("dualprompt"), SCENARIO, 0), SCENARIO, 1)
    x = SCENARIO.normalise(SCENARIO.tasks[0].test.kept.images[:5])
    keys, query = method.network.prompts.expert_keys, method._query(x)
    used, forward = [], method.network.backbone.forward
    method.network.backbone.forward = lambda x, prompts=None, prefixes=None: (used.append(prefixes), forward(x))[1]
    with torch.no_grad():
        keys[2].copy_(query[:1])  # the nearest of all, of a task to come
        keys[1].copy_(query[:1] + 0.5 * query[:1].roll(1, 1))
        keys[0].copy_(-query[:1])
        for told, expected in ((None, 1), (0, 0), (2, 2)):
            used.clear()
            method.predict(x, *([] if told is None else [told]))
            (prefixes,) = [p for p in used if p]
            found = torch.stack([torch.stack(prefixes[block], dim=1) for block in (2, 3, 4)], dim=1)
            assert torch.equal(found, method.network.prompts.experts[expected].expand_as(found)), told


def test_l2p_pulls_chosen_keys_alone():
    method = enter(started("l2p", top_k=2, strength=1.0), SCENARIO, 0)
    x = SCENARIO.normalise(SCENARIO.tasks[0].train.examples().images[:8])
    features, distances = method._prompted(x)
    keys = method.network.prompts.keys
    cosine = torch.nn.functional.cosine_similarity(method._query(x)[:, None], keys[0][None], dim=-1)
    nearest, chosen = cosine.topk(2, dim=1)
    torch.testing.assert_close(distances, (1 - nearest).sum(dim=1))
    (gradient,) = torch.autograd.grad(distances.sum(), keys)
    touched = set(gradient[0].abs().sum(dim=1).nonzero().flatten().tolist())
    assert touched == set(chosen.flatten().tolist())
    assert features.shape == (8, 64)


def test_coda_prompt_starts_orthogonal_components_and_adds_their_weighted_sum():
    method = started("coda-prompt")
    enter(enter(method, SCENARIO, 0), SCENARIO, 1)  # nothing trained between
    prompts = method.network.prompts
    for kind in (prompts.prompts, prompts.keys, prompts.attentions):
        rows = torch.cat(list(kind)[:2], dim=1).flatten(2)
        torch.testing.assert_close(rows @ rows.mT, torch.eye(4).expand(5, 4, 4), rtol=0, atol=1e-5)
        assert not kind[2].any()
    x = SCENARIO.normalise(SCENARIO.tasks[0].test.kept.images[:3])
    query = method._query(x)
    keys, values = prompts(query, 2)[3]
    k, a, p = (torch.cat([kind[t][3] for t in (0, 1)]) for kind in (prompts.keys, prompts.attentions, prompts.prompts))
    weights = torch.nn.functional.cosine_similarity(query[:, None] * a, k[None], dim=-1)
    torch.testing.assert_close(torch.cat([keys, values], dim=1), torch.einsum("nm,mld->nld", weights, p))


@pytest.mark.parametrize("compete", ["new", "setting"])
def test_the_classes_in_the_loss(compete):
    method = enter(enter(started("l2p", compete=compete), SCENARIO, 0), SCENARIO, 1)
    x = SCENARIO.normalise(SCENARIO.tasks[1].train.examples().images[:4])
    loss = method.loss(batch_of(method, x, SCENARIO.tasks[1].train.labels[:4].tolist(), [2, 2, 2]))
    loss.backward()
    old = method.network.head.linear.weight.grad[:2]
    assert bool(old.any()) == (compete == "setting")


def test_wrong_settings_are_said_before_anything_is_trained():
    wrong = {
        "l2p": ({"top_k": 7, "pool": 6}, "top_k: 7 prompts of an image, of a pool of 6"),
        "l2p++": ({"tuning": "prompt"}, "blocks: 2 belongs to tuning: prefix"),
        "dualprompt": ({"expert_blocks": 5}, "has prefixes in 7 blocks, timm:test_vit has 6"),
        "coda-prompt": ({"pool": 2}, "pool: 2 components are less than one for each of 3 tasks"),
    }
    for case, (changes, said) in wrong.items():
        with pytest.raises(ValueError, match=said):
            started(case, **changes)
    with pytest.raises(ValueError, match="pool: 100 components cannot be orthogonal in 64 dimensions; at most 64"):
        started("coda-prompt", pool=100)
    with pytest.raises(ValueError, match=r"want a vision transformer of timm .*, not ResNet"):
        METHODS["l2p"]().start(SCENARIO, model_settings({"backbone": "timm:test_resnet", "image_size": 32}))
    with pytest.raises(ValueError, match=r"L2P prompts a vision transformer of timm, not mlp; .*backbone: .timm:vit_"):
        METHODS["l2p"]().start(SCENARIO, model_settings({"backbone": "mlp"}))
