"""DNE: old experts stay bit for bit, the teacher of the same pass, and the ablations."""

import pytest
import torch

from methods import DNE
from tests.methods.growing import SCENARIO, learn, stages, started, values

torch.set_num_threads(1)
X = SCENARIO.normalise(SCENARIO.tasks[0].train.examples().images[:16])


def slices(method: DNE) -> list[torch.Tensor]:
    method.network.eval()
    with torch.no_grad():
        return [s.clone() for s in method.network.expert_slices(X)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"new_heads": 2, "fused": True},
        {"passes": "per-task"},
        {"attention": "independent"},
        {"attention": "spatial_task"},
    ],
    ids=str,
)
def test_old_experts_stay_bit_for_bit_through_whole_tasks(settings):
    method = started(DNE, **settings)
    learn(method, 0)
    experts = [[p.clone() for p in expert.parameters()] for expert in method.network.experts]
    outputs = slices(method)
    for task in (1, 2):
        learn(method, task)
        for old, expert in zip(experts, method.network.experts, strict=False):
            assert all(torch.equal(a, b) for a, b in zip(old, expert.parameters(), strict=True))
        for old, now in zip(outputs, slices(method), strict=False):
            assert torch.equal(now[:, : old.shape[1]], old)
        experts = [[p.clone() for p in expert.parameters()] for expert in method.network.experts]
        outputs = slices(method)
    assert len(experts) == 3


def test_the_main_phase_keeps_old_tokens_and_heads():
    method = started(DNE)
    learn(method, 0)
    for when, phase in stages(method, 1):
        if phase is None or phase.name != "train":
            continue
        if when == "before":
            before = values(method, "old_tokens", "old_heads")
        else:
            assert all(
                torch.equal(a, b) for a, b in zip(values(method, "old_tokens", "old_heads"), before, strict=True)
            )


def test_fine_tuning_moves_old_tokens_only_where_asked():
    moved = {}
    for which in ("new", "all"):
        method = started(DNE, finetune_tokens=which)
        learn(method, 0)
        old = slices(method)[0]
        learn(method, 1)
        moved[which] = not torch.equal(slices(method)[0], old)
    assert moved == {"new": False, "all": True}


def test_the_old_answers_come_from_the_same_pass_and_are_those_of_the_old_network():
    method = started(DNE)
    learn(method, 0)
    method.network.eval()
    old = method.network(X)
    for when, phase in stages(method, 1):
        if phase is None or phase.name != "train":
            continue
        if when == "before":
            assert torch.equal(method.network(X)[:, :2], old)  # new columns start at zero
        for mode in (True, False):
            method.network.train(mode)
            answers = method.network.forward_parts(X).old_logits
            assert torch.equal(answers, old)
    assert method.network.teacher is None


@pytest.mark.parametrize(
    ("attention", "other_heads"), [("dense", False), ("independent", False), ("spatial_task", True)]
)
def test_shares_of_attention_are_told(attention, other_heads):
    method = started(DNE, attention=attention)
    for task in (0, 1):
        learn(method, task)
        said = method.diagnostics()
        shares = {kind.removeprefix("attention."): v for kind, v in said.items() if kind.startswith("attention.")}
        assert set(shares) == {"SPSH", "SPDH", "DPSH", "DPDH"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert (shares["SPDH"] + shares["DPDH"] > 0.01) == other_heads
    assert said["exemplars"] == 10


def test_experts_grow_by_k_heads():
    for k in (1, 2):
        method = started(DNE, new_heads=k)
        learn(method, 0)
        learn(method, 1)
        assert method.network.widths == [24, 8 * k]
