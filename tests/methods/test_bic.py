"""Bias correction: what each stage may change, and the set that the second one learns from."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.fit import fit
from methods.bic import BiC
from scenarios import Examples
from tests.conftest import small_split
from tests.methods.helpers import enter, learn, snapshot

ORDER = (0, 1, 2, 3, 4, 5)


def test_stage_1_leaves_corrections_and_stage_2_changes_only_the_newest():
    scenario = small_split("class", tasks=3, class_order=ORDER)
    method = enter(learn(BiC(buffer_size=40, correction_epochs=3), scenario, 2), scenario, 2)
    states = [snapshot(method.network)]
    for index, phase in enumerate(method.phases(method.task)):
        fit(method, phase, index=index)
        states.append(snapshot(method.network))
    start, first, second = states
    assert all(torch.equal(start[k], first[k]) for k in start if k.startswith("corrections"))
    assert [k for k in first if not torch.equal(first[k], second[k])] == ["corrections.2"]
    assert torch.equal(second["corrections.0"], torch.tensor([1.0, 0.0])), "the first task has nothing to correct"
    assert not torch.equal(second["corrections.1"], torch.tensor([1.0, 0.0]))


def test_held_out_set_is_equal_per_class_and_unseen_by_stage_1():
    scenario = small_split("class", tasks=3, class_order=ORDER)
    method = enter(learn(BiC(buffer_size=40, held_out=0.3), scenario, 2), scenario, 2)
    seen, unseen = (phase.data for phase in method.phases(method.task))
    assert unseen.labels.bincount().tolist() == [3] * 6, "0.3 of 40 / 4 exemplars a class"
    assert len(seen) + len(unseen) == 40 + 40
    images = {image.numpy().tobytes() for image in seen.images}
    assert not any(image.numpy().tobytes() in images for image in unseen.images)


def test_a_class_with_a_single_exemplar_is_in_both_sets():
    scenario = small_split("class", tasks=2, class_order=ORDER)
    method = enter(learn(BiC(buffer_size=1, policy="per_class"), scenario, 1), scenario, 1)
    seen, unseen = (phase.data for phase in method.phases(method.task))
    assert unseen.labels.bincount().tolist() == [1] * 4 or set(unseen.labels.tolist()) == set(range(6))
    assert set(seen.labels.tolist()) == set(unseen.labels.tolist())


def test_every_correction_applies_to_its_columns_in_prediction_and_teacher():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = learn(BiC(buffer_size=12, correction_epochs=1), scenario, 2)
    with torch.no_grad():
        method.network.corrections[0].copy_(torch.tensor([2.0, 1.0]))
        method.network.corrections[1].copy_(torch.tensor([0.5, -3.0]))
    method.network.eval()
    x = method.batch(scenario.tasks[0].train.examples()).x
    raw = method.network.head(method.network.backbone(x))
    expected = torch.cat([2 * raw[:, :2] + 1, 0.5 * raw[:, 2:] - 3], 1)
    torch.testing.assert_close(method.predict(x), expected)
    method.end_task(method.task)
    torch.testing.assert_close(method.teacher(x), expected)


def test_stage_2_is_cross_entropy_of_corrected_logits_not_of_their_softmax():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = enter(learn(BiC(buffer_size=12), scenario, 1), scenario, 1)
    _, phase = method.phases(method.task)
    batch = method.batch(phase.data)
    network = copy.deepcopy(method.network).eval()
    torch.testing.assert_close(phase.loss(batch), F.cross_entropy(network(batch.x), batch.y))


@pytest.mark.parametrize("setting", ["task", "domain"])
def test_no_second_stage_where_new_classes_have_no_old_rivals(setting):
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    method = enter(learn(BiC(buffer_size=12), scenario, 1), scenario, 1)
    (phase,) = method.phases(method.task)
    assert isinstance(phase.data, Examples)
    assert len(phase.data) == 52
