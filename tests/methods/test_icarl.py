"""iCaRL's losses and its nearest-mean classifier; replay and GDumb, which share its memory."""

import copy

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.run import task_view, train_task
from methods import METHODS, GDumb, ICaRL, Replay
from methods.parts.exemplars import herd
from methods.parts.features import features_of
from methods.parts.nearest_mean import NearestMean
from tests.conftest import SHORT, SMALL_MODEL, small_split


def started(cls, setting: str = "class", **settings):
    scenario = small_split(setting, tasks=2, class_order=(0, 1, 2, 3))
    return scenario, cls(**settings).start(scenario, SMALL_MODEL, SHORT)


@pytest.mark.parametrize("flip", [False, True])
def test_means_are_normalised_means_of_normalised_features(flip):
    scenario, method = started(ICaRL, buffer_size=12, flip_means=flip)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    method.network.eval()
    for label, mean in zip(method.buffer.classes, method.means.means, strict=True):
        images = method.buffer.of(label).images
        views = [images, images.flip(-1)] if flip else [images]
        with torch.no_grad():
            units = [F.normalize(method.network.backbone(scenario.normalise(v)), dim=1) for v in views]
        expected = torch.cat(units).mean(0)
        torch.testing.assert_close(mean, expected / expected.norm())


def test_answers_with_the_nearest_mean_and_only_classes_that_have_one():
    scenario, method = started(ICaRL, buffer_size=12)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    x = scenario.normalise(scenario.tasks[0].test.kept.images)
    method.network.eval()
    with torch.no_grad():
        scores = method.predict(x)
        units = F.normalize(method.network.backbone(x), dim=1)
    assert scores.shape == (len(x), 4)
    distances = torch.cdist(units, method.means.means)
    assert torch.equal(scores.argmax(1), torch.tensor(method.buffer.classes)[distances.argmin(1)])
    wider = method.means.scores(units, 7)
    assert wider.isfinite().all()
    assert (wider[:, 4:] < -1e30).all()


@pytest.mark.parametrize("objective", ["bce", "ce"])
@pytest.mark.parametrize("columns", ["sum", "mean"])
def test_class_incremental_loss_is_that_of_the_paper(objective, columns):
    scenario, method = started(
        ICaRL,
        buffer_size=12,
        objective=objective,
        columns=columns,
        temperature=3.0,
        distill=0.5 if objective == "ce" else 1.0,
    )
    train_task(method, scenario, scenario.tasks[0])
    old = copy.deepcopy(method.network)
    method.enter(task_view(scenario, scenario.tasks[1], False))
    with torch.no_grad():
        for p in method.network.parameters():
            p.add_(0.1 * torch.randn_like(p))
    (phase,) = method.phases(method.task)
    assert len(phase.data) == 40 + 12  # the new data and every exemplar
    batch = method.batch(phase.data)
    logits, answers = method.network(batch.x), old(batch.x)
    if objective == "ce":
        q, log_p = F.softmax(answers / 3, 1), F.log_softmax(logits[:, :2] / 3, 1)
        expected = F.cross_entropy(logits, batch.y) - 0.5 * (q * log_p).sum(1).mean()
    else:  # one target a column: the old network's sigmoid, then the label
        targets = torch.cat([torch.sigmoid(answers / 3), F.one_hot(batch.y, 4)[:, 2:].float()], 1)
        every = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        expected = every.sum(1).mean() if columns == "sum" else every.mean()
    torch.testing.assert_close(method.loss(batch), expected)


def test_exemplars_are_herded_by_the_features_of_the_network_as_trained():
    scenario, method = started(ICaRL, buffer_size=10)
    train_task(method, scenario, scenario.tasks[0])
    data = scenario.tasks[0].train.examples()
    own = data[(data.labels == 1).nonzero().flatten()]
    assert torch.equal(method.buffer.of(1).images, own[herd(features_of(method, own), 5)].images)


def test_features_come_in_eval_mode_and_leave_the_mode_alone():
    scenario, method = started(Replay, buffer_size=10)
    method.network.backbone = torch.nn.Sequential(method.network.backbone, torch.nn.Dropout(0.9))
    examples = scenario.tasks[0].train.examples()
    for training in (True, False):
        method.network.train(training)
        first = features_of(method, examples)
        few = [features_of(method, examples[rows]) for rows in torch.arange(len(examples)).split(7)]
        torch.testing.assert_close(first, torch.cat(few))
        assert method.network.training == training
        assert not first.requires_grad


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_replay_passes_over_new_data_and_all_exemplars(setting):
    scenario, method = started(Replay, setting, buffer_size=12)
    sizes = []
    for task in scenario.tasks:
        view = task_view(scenario, task, False)
        method.enter(view)
        (phase,) = method.phases(view)
        sizes.append(len(phase.data))
        train_task(method, scenario, task)
    assert sizes == [40, 52]
    per_task = torch.bincount(method.buffer.examples().task_ids)
    assert per_task.tolist() == [6, 6]


@pytest.mark.parametrize("name", ["replay", "icarl"])
def test_a_budget_per_class_grows_with_the_classes(name):
    scenario, method = started(METHODS[name], buffer_size=5, policy="per_class")
    stored = []
    for task in scenario.tasks:
        train_task(method, scenario, task)
        stored.append(len(method.buffer))
    assert stored == [10, 20]


@pytest.mark.parametrize("setting", ["task", "domain", "class"])
def test_gdumb_learns_from_its_memory_alone_and_starts_anew(setting):
    scenario, method = started(GDumb, setting, buffer_size=10, epochs=3)
    initial = [p.clone() for p in method.network.backbone.parameters()]
    for task in scenario.tasks:
        view = task_view(scenario, task, False)
        method.enter(view)
        assert all(torch.equal(a, b) for a, b in zip(method.network.backbone.parameters(), initial, strict=True))
        assert method.network.head.n_outputs == scenario.layout.width(task.id)
        (phase,) = method.phases(view)
        assert len(phase.data) == len(method.buffer) == 10
        assert set(map(id, phase.parameters)) == set(map(id, method.network.parameters()))
        groups = phase.data.task_ids * 4 + phase.data.labels
        counts = groups.unique(return_counts=True)[1]
        assert counts.max() - counts.min() <= 1
        assert set(phase.data.task_ids.tolist()) == set(range(task.id + 1))
        train_task(method, scenario, task)
    assert not torch.equal(next(method.network.parameters()), initial[0])


def test_gdumb_keeps_no_gradient_longer_than_its_clip():
    scenario, method = started(GDumb, buffer_size=10, clip=0.01)
    method.enter(task_view(scenario, scenario.tasks[0], False))
    batch = method.batch(method.buffer.examples())
    method.loss(batch).backward()
    method.adjust_gradients(batch)
    norm = torch.cat([p.grad.flatten() for p in method.network.parameters()]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_nearest_mean_of_a_shared_label_is_over_all_its_tasks():
    scenario, method = started(ICaRL, "domain", buffer_size=12)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    assert method.buffer.classes == [0, 1]
    both = method.buffer.of(0)
    assert set(both.task_ids.tolist()) == {0, 1}
    expected = F.normalize(F.normalize(features_of(method, both), dim=1).mean(0), dim=0)
    torch.testing.assert_close(NearestMean(method, method.buffer).means[0], expected)


def test_columns_that_are_active_before_their_task_are_not_distilled():
    """active_outputs "all": the old network's answers for new classes are noise beside their labels."""
    groups = {}
    for active in ("seen", "all"):
        stream = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5), active_outputs=active)
        method = ICaRL(buffer_size=12).start(stream, SMALL_MODEL, SHORT)
        for task in stream.tasks:
            train_task(method, stream, task)
            groups.setdefault(active, []).append(method._groups)
    assert groups["all"] == groups["seen"] == [[], [slice(0, 2)], [slice(0, 4)]]
