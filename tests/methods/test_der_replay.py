"""Dark experience replay: the logits kept, and the losses of eq. 5 and 6."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.run import task_view, train_task
from methods import DERpp, DERReplay
from methods.parts.logit_reservoir import logit_distance, to_width
from models import build_network
from tests.conftest import SHORT, SMALL_MODEL, small_split


def started(cls, setting: str, **settings):
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    return scenario, cls(**settings).start(scenario, SMALL_MODEL, SHORT)


def test_with_all_columns_from_the_start_the_distance_is_the_mean_squared_error():
    torch.manual_seed(0)
    logits, stored = torch.randn(5, 4), torch.randn(5, 4)
    torch.testing.assert_close(logit_distance(logits, stored, torch.full((5,), 4)), F.mse_loss(logits, stored))


def test_columns_that_did_not_exist_are_not_compared():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, requires_grad=True)
    old = torch.randn(3, 2)
    distance = logit_distance(logits, to_width(old, 6), torch.tensor([2, 2, 2]))
    torch.testing.assert_close(distance, F.mse_loss(logits[:, :2], old))
    distance.backward()
    assert (logits.grad[:, 2:] == 0).all()
    assert (logits.grad[:, :2] != 0).all()


@pytest.mark.parametrize("cls", [DERReplay, DERpp])
@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_logits_are_those_of_the_step_that_first_saw_the_example(cls, setting):
    scenario, method = started(cls, setting, buffer_size=200)
    seen = {}

    def watch(batch, original=method.loss):
        loss = original(batch)
        if batch.epoch == 0:
            with torch.no_grad():
                logits = method.network(batch.x)
            keys = [image.numpy().tobytes() for image in batch.examples.images]
            seen.update(zip(keys, logits, strict=True))
        return loss

    method.loss = watch
    for task in scenario.tasks:
        train_task(method, scenario, task)
    stored = method.buffer.examples
    assert len(stored) == 80  # all, each once, though trained on in five epochs
    for image, logits in zip(stored.images, method.buffer.beside["logits"], strict=False):
        expected = seen[image.numpy().tobytes()]
        torch.testing.assert_close(logits[: len(expected)], expected)


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
@pytest.mark.parametrize("cls", [DERReplay, DERpp])
def test_loss_is_that_of_the_paper(cls, setting):
    """With a buffer smaller than a draw, both draws are all of it: eq. 5 and 6 by hand."""
    settings = {"alpha": 0.7, "buffer_size": 6} | ({"beta": 0.3} if cls is DERpp else {})
    scenario, method = started(cls, setting, **settings)
    train_task(method, scenario, scenario.tasks[0])
    method.enter(task_view(scenario, scenario.tasks[1], False))
    batch = method.batch(scenario.tasks[1].train.examples())
    old = method.batch(method.buffer.examples)
    width = scenario.layout.width(0)
    own, past = scenario.layout.active_in_training(1, 2), scenario.layout.active_in_training(0, 2)

    def classify(x, y, active):
        logits = method.network(x)
        return F.cross_entropy(logits[:, active.columns], y - active.start)

    z = method.buffer.beside["logits"][:6, :width]
    expected = classify(batch.x, batch.y, own) + 0.7 * F.mse_loss(method.network(old.x)[:, :width], z)
    if cls is DERpp:
        expected = expected + 0.3 * classify(old.x, old.y, past)
    torch.testing.assert_close(method.loss(batch), expected)


@pytest.mark.parametrize("cls", [DERReplay, DERpp])
@pytest.mark.parametrize(("offer", "seen"), [("once", 40), ("every_epoch", 40 * SHORT.epochs)])
def test_examples_are_offered_once_or_in_every_epoch(cls, offer, seen):
    scenario, method = started(cls, "class", buffer_size=7, offer=offer)
    train_task(method, scenario, scenario.tasks[0])
    assert method.buffer.seen == seen
    assert len(method.buffer) == 7


def test_a_multi_head_network_is_held_to_finite_logits():
    scenario, method = started(DERReplay, "task", buffer_size=10)
    assert isinstance(method.network, type(build_network(SMALL_MODEL, scenario.image_shape, "multi", [2, 2], 0)))
    for task in scenario.tasks:
        train_task(method, scenario, task)
    assert method.buffer.beside["logits"].abs().max() < 1e3
