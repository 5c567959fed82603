"""Generative replay and the generative classifier: what is replayed, what is frozen, what is answered."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.cell.evaluate import evaluate
from benchmarks.cell.run import task_view, train_task
from methods import DGR, GenerativeClassifier, OptimizerSettings, Recipe
from methods.core.losses import cross_entropy
from scenarios import Split
from tests.conftest import SHORT, SMALL_MODEL, small_split

SMALL = {"generator_units": 16, "latent": 4}
SMALL_GC = {"units": 16, "latent": 4, "samples": 5}
ADAM = Recipe(epochs=5, batch_size=10, optimizer=OptimizerSettings(name="adam", lr=0.01), optimizer_state="kept")


def state(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def in_second_task(setting: str, recipe=SHORT, model=SMALL_MODEL, **settings):
    """DGR before the first step of its second task, a batch of that task, and the scenario."""
    scenario = small_split(setting)
    method = DGR(**(SMALL | settings)).start(scenario, model, recipe)
    train_task(method, scenario, scenario.tasks[0])
    view = task_view(scenario, scenario.tasks[1], False)
    method.enter(view)
    return method, method.batch(view.train[torch.arange(10)]), scenario


def replay_of(method, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that the next step will replay, without advancing the method's noise, and their network inputs."""
    noise = torch.Generator()
    noise.set_state(method._noise.get_state())
    images = method._previous.generator.sample(n, noise)
    return images, (images - method.normalise.mean[0]) / method.normalise.std[0]


@pytest.mark.parametrize("setting", ["domain", "class"])
def test_the_loss_weighs_new_and_replayed_by_their_share(setting):
    """At task 2: half the loss of the batch, half that of the replayed images under the old network's answers."""
    method, batch, _ = in_second_task(setting)
    _, x = replay_of(method, 10)
    answers = method._previous(x)[:, :2].argmax(1)
    expected = 0.5 * cross_entropy(method.network(batch.x), batch.y) + 0.5 * cross_entropy(method.network(x), answers)
    noise = method._noise.get_state()
    total = method.loss(batch)
    method._noise.set_state(noise)
    pixels = batch.examples.images / method.normalise.scale
    images = method._previous.generator.sample(10, method._noise)
    bound = method.network.generator.loss(torch.cat([pixels, images]), method._noise).mean() / 64
    torch.testing.assert_close(total, expected + bound)


def test_every_past_head_answers_for_every_replayed_image():
    """Two past tasks: the mean over both heads, each with its own labels for the whole replayed batch."""
    scenario = small_split("task")
    method = DGR(**SMALL).start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks[:2]:
        train_task(method, scenario, task)
    view = task_view(scenario, scenario.tasks[2], False)
    method.enter(view)
    method.batch(view.train[torch.arange(10)])
    _, x = replay_of(method, 10)
    scores, answers = method.network(x), method._previous(x)
    expected = sum(F.cross_entropy(scores[:, g], answers[:, g].argmax(1)) for g in (slice(0, 2), slice(2, 4))) / 2
    torch.testing.assert_close(method._past_loss(scores, x), expected)


def test_soft_targets_distil_the_old_probabilities_and_give_new_columns_none():
    method, _batch, _ = in_second_task("class", targets="soft", temperature=2.0)
    _, x = replay_of(method, 10)
    scores = method.network(x)
    q = torch.zeros_like(scores)
    q[:, :2] = F.softmax(method._previous(x)[:, :2] / 2, dim=1)
    expected = -(q * F.log_softmax(scores / 2, dim=1)).sum(1).mean() * 4
    torch.testing.assert_close(method._past_loss(scores, x), expected)


def test_replayed_images_are_never_labelled_as_a_class_to_come():
    scenario = small_split("class")
    method = DGR(**SMALL).start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    view = task_view(scenario, scenario.tasks[1], False)
    method.enter(view)
    method.batch(view.train[torch.arange(10)])
    with torch.no_grad():  # a copy that would answer with the last column, were it asked
        method._previous.head.linear.bias[-1] += 1000
    scores = torch.zeros(10, method.network.head.n_outputs)
    scores[:, 2:] = -1000.0  # a network sure of the old columns is right whatever old column is the label
    assert method._past_loss(scores, replay_of(method, 10)[1]) < 1


def test_copies_of_the_past_stay_as_they_were_while_both_networks_learn():
    method, batch, _ = in_second_task("class")
    before, learning = state(method._previous), state(method.network)
    phase = next(iter(method.phases(method.task)))
    optimizer = phase.recipe.optimizer.build(phase.parameters)
    for _ in range(3):
        method.observe(batch, optimizer, phase)
    assert same(before, state(method._previous))
    after = state(method.network)
    changed = [name for name in learning if not torch.equal(learning[name], after[name])]
    assert any(name.startswith("generator.") for name in changed)
    assert any(not name.startswith("generator.") for name in changed)


def test_nothing_but_the_generator_is_kept_between_tasks():
    scenario = small_split("class")
    method = DGR(**SMALL).start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    assert method._previous is None
    own = sum(p.numel() for p in method.network.generator.parameters())
    rest = sum(p.numel() for m in (method.network.backbone, method.network.head) for p in m.parameters())
    assert method.parameters_report()["total"] == own + rest


@pytest.mark.parametrize(("recipe", "kept"), [(SHORT, False), (ADAM, True)])
def test_the_generators_optimizer_lives_as_long_as_the_recipes(recipe, kept):
    scenario = small_split("domain")
    method = DGR(**SMALL).start(scenario, SMALL_MODEL, recipe)
    train_task(method, scenario, scenario.tasks[0])
    first = method._generator_optimizer
    method.enter(task_view(scenario, scenario.tasks[1], False))
    assert (method._generator_optimizer is first) == kept


def test_the_generator_sees_pixels_whatever_the_normalisation():
    """Trained with other normalisations of the same images it is the same generator, and the network differs."""
    generators = []
    for normalisation in ("unit", {"mean": 0.3, "std": 0.2}):
        settings = {"data": "digits", "setting": "domain", "tasks": 2, "class_order": (0, 1, 2, 3)}
        scenario = Split.model_validate(settings | {"samples_per_task": 40, "normalisation": normalisation}).build(0)
        method = DGR(**SMALL).start(scenario, SMALL_MODEL, SHORT)
        train_task(method, scenario, scenario.tasks[0])
        generators.append(state(method.network.generator))
        method.enter(task_view(scenario, scenario.tasks[1], False))
        images, x = replay_of(method, 4)
        torch.testing.assert_close(method.normalise(images * method.normalise.scale), x)
    assert same(*generators)


def test_it_forgets_less_than_without_replay():
    """Split digits, class-incremental: the first task is all but gone without replay."""
    recipe = Recipe(epochs=60, batch_size=20, optimizer=OptimizerSettings(name="adam", lr=0.003))
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = DGR(generator_units=64, latent=8, generator_lr=0.003).start(scenario, SMALL_MODEL, recipe)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    correct, total = evaluate(method, scenario)[0]
    assert correct / total > 0.6


# ---- generative classifier ---------------------------------------------------------------------------------


def test_models_of_earlier_classes_are_bit_identical_after_later_ones():
    scenario = small_split("class")
    method = GenerativeClassifier(**SMALL_GC).start(scenario, SMALL_MODEL, SHORT)
    x = scenario.normalise(scenario.tasks[0].test.kept.images)
    weights, scores = [], None
    for task in scenario.tasks:
        train_task(method, scenario, task)
        weights.append([state(model) for model in method.network.models])
        now = method.predict(x)
        assert now.shape == (len(x), 2 * (task.id + 1))
        if scores is not None:
            assert torch.equal(now[:, : scores.shape[1]], scores)
        scores = now
    for earlier in weights:
        assert all(same(old, state(new)) for old, new in zip(earlier, method.network.models, strict=False))


@pytest.mark.parametrize("active", ["seen", "all"])
def test_it_answers_for_the_classes_so_far(active):
    scenario = small_split("class", active_outputs=active)
    method = GenerativeClassifier(**SMALL_GC).start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    x = scenario.normalise(scenario.tasks[0].test.kept.images)
    assert method.predict(x).shape[1] == 2


def test_each_class_has_a_phase_of_its_own_data_parameters_and_share_of_steps():
    scenario = small_split("class")
    recipe = SHORT.model_copy(update={"epochs": None, "steps": 30})
    method = GenerativeClassifier(**SMALL_GC).start(scenario, SMALL_MODEL, recipe)
    view = task_view(scenario, scenario.tasks[0], False)
    method.enter(view)
    phases = list(method.phases(view))
    assert [set(phase.data.labels.tolist()) for phase in phases] == [{0}, {1}]
    assert sum(len(phase.data) for phase in phases) == len(view.train)
    assert [phase.recipe.steps for phase in phases] == [15, 15]
    for phase, model in zip(phases, method.network.models, strict=True):
        assert [id(p) for p in phase.parameters] == [id(p) for p in model.parameters()]


def test_answers_are_the_likelihoods_of_the_pixels():
    """However the images are normalised, the score of a class is its model's likelihood of the raw image."""
    scenario = small_split("class")
    method = GenerativeClassifier(**SMALL_GC).start(scenario, SMALL_MODEL, SHORT)
    train_task(method, scenario, scenario.tasks[0])
    images = scenario.tasks[0].test.kept.images[:5]
    scores = method.predict(scenario.normalise(images))
    for column, model in enumerate(method.network.models):
        expected = model.log_likelihood(images / scenario.normalise.scale, method._importance, "gaussian")
        torch.testing.assert_close(scores[:, column], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("setting", ["task", "domain"])
def test_it_fits_only_where_classes_have_columns_and_compete(setting):
    with pytest.raises(ValueError, match="use a class-incremental scenario"):
        GenerativeClassifier().start(small_split(setting), SMALL_MODEL, SHORT)
