"""One cell: reproducible, honest about failure."""

import json

import pytest
import torch

from benchmarks.cell.fit import Diverged, Trainer, fit
from benchmarks.cell.run import run_cell, task_view, train_task
from benchmarks.contract.trial import make
from benchmarks.cost.count import cost_of
from benchmarks.records.remarks import why_absent
from benchmarks.records.results import frame_of
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS, Joint, Method, OptimizerSettings, Recipe
from scenarios import Split
from tests.benchmarks.helpers import cells, suite_file
from tests.conftest import SHORT, SMALL_MODEL, small_model, small_permuted, small_split

SETTINGS_OF_DIGITS = ("split-digits/task", "split-digits/domain", "split-digits/class")


@pytest.mark.parametrize("scenario", SETTINGS_OF_DIGITS)
def test_same_cell_twice_same_record_but_for_times(scenario):
    cell = cells("er", scenarios=(scenario,))[0]
    first, second = run_cell(cell), run_cell(cell)
    assert first.comparable() == second.comparable()
    assert "train" in first.seconds


def test_class_incremental_rows_and_other_view():
    record = run_cell(cells("finetune")[0])
    matrix = record.matrix.matrix()
    for i in range(6):
        for j in range(5):
            assert (record.matrix.correct[i][j] is None) == (j >= i)
    assert record.matrix_other_view == "masked"
    assert "class-incremental" in record.not_evaluated["unseen tasks"]
    # with the task known, forgotten classes are found again
    masked = record.matrix_other.matrix()
    assert masked[5, 0] > matrix[5, 0]


def test_task_incremental_evaluates_unseen_tasks_and_both_views():
    record = run_cell(cells("finetune", scenarios=("split-digits/task",))[0])
    assert all(c is not None for row in record.matrix.correct for c in row)
    assert record.matrix_other_view == "unmasked"
    assert record.matrix_other.matrix()[5, 0] <= record.matrix.matrix()[5, 0]
    assert record.not_evaluated == {}


def test_what_a_method_computes_before_training_costs_flops(monkeypatch):
    """Of a method that looks at its task first: 3 x 4 x 5 multiply-adds in each of five tasks."""
    monkeypatch.setattr(METHODS["finetune"], "begin_task", lambda self, task: torch.ones(3, 4) @ torch.ones(4, 5))
    cell = cells("finetune")[0]
    record = run_cell(cell)
    assert record.flops.parts["begin_task"] == 5 * 2 * 3 * 4 * 5
    assert record.flops.training == sum(record.flops.parts.values())
    assert cost_of(cell).training == record.flops.training


def small(tmp_path, methods: str, setting: str = "class"):
    scenarios = f"split: {{stream: split, data: digits, setting: {setting}, tasks: 5, samples_per_task: 30}}"
    (cell,) = make_grid(load_suite(str(suite_file(tmp_path, methods, scenarios)))).cells
    return cell


def test_ucir_pays_for_looking_at_the_new_classes(tmp_path):
    """Its new rows are the classes' mean features: one pass over each task's images but the first's."""
    cell = small(tmp_path, "{ucir: {buffer_size: 20}}")
    record = run_cell(cell)
    assert record.flops.parts["begin_task"] == 4 * 30 * 2 * 64 * 16, "four tasks of 30 images of 64 pixels, 16 units"
    assert cost_of(cell).training == record.flops.training
    assert "begin_task" not in run_cell(cells("finetune")[0]).flops.parts


def test_who_compares_with_stored_classes_has_no_answer_for_tasks_to_come(tmp_path):
    """iCaRL, task-incremental: of a task that it has not begun it has no exemplars."""
    record = run_cell(small(tmp_path, "{icarl: {buffer_size: 20}}", "task"))
    for i, row in enumerate(record.matrix.correct):
        assert [c is not None for c in row] == [j < i for j in range(5)]
    assert record.not_evaluated == {"unseen tasks": "ICaRL has no answer for a task that it has not begun"}
    domain = run_cell(small(tmp_path, "{icarl: {buffer_size: 20}}", "domain"))
    assert all(c is not None for row in domain.matrix.correct for c in row)


def test_a_cell_that_raises_becomes_a_record_with_its_traceback(monkeypatch):
    def broken(self, batch):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(METHODS["finetune"], "loss", broken)
    record = run_cell(cells("finetune")[0])
    assert record.status == "failed"
    assert "ZeroDivisionError: planted" in record.error
    assert "in broken" in record.error
    assert record.matrix.correct[1] == [None] * 5


def test_a_diverging_cell_is_called_that():
    changes = ["training.optimizer.lr=1.0", "methods.ewc.strength=1e6", "training.epochs=10"]
    record = run_cell(cells("ewc", scenarios=("split-digits/domain",), changes=changes)[0])
    assert record.status == "diverged"
    assert "loss is nan" in record.error


@pytest.mark.parametrize("scenario", ["split-digits/task", "split-digits/class"])
def test_predictions_that_are_not_finite_after_the_last_step_diverged(scenario):
    """The loss of that step was still finite, and so may be the weights: only what they predict tells."""
    first = "{epochs: 2, batch_size: 32, optimizer: {name: sgd, lr: 0.05}}"
    changes = ["training.batch_size=2000", "training.optimizer={name: sgd, lr: 1.0e+38}", f"training.first={first}"]
    (cell,) = cells("finetune", scenarios=(scenario,), changes=["scenario.tasks=2", *changes])
    record = run_cell(cell)
    assert record.status == "diverged"
    assert "predicted scores of task" in record.error
    assert record.matrix.correct[1][0] is not None
    assert record.matrix.correct[2] == [None, None]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_after_a_phase_diverged(value, monkeypatch):
    """Also those that no prediction so far depends on."""

    def break_one(method, batch):
        if method.task.id == 1:
            method.network.head.layers[4].weight[0, 0] = value

    monkeypatch.setattr(METHODS["finetune"], "after_step", break_one)
    record = run_cell(cells("finetune", scenarios=("split-digits/task",))[0])
    assert (record.status, record.matrix.correct[2][0]) == ("diverged", None)
    assert record.error == "head.layers.4.weight is not finite after task 1, phase 'train'"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_prediction_that_is_not_finite_diverged(value, monkeypatch):
    def predict(method, x, task_id=None):
        scores = method.network(x)
        if method.seen == 5:
            scores[-1, 7] = value
        return scores

    monkeypatch.setattr(METHODS["finetune"], "predict", predict)
    record = run_cell(cells("finetune")[0])
    assert (record.status, record.error) == (
        "diverged",
        "1 predicted scores of task 0 after 5 tasks are NaN or infinite",
    )


def test_training_flops_by_hand():
    """6 N P for a linear network's step: 2 forward, 4 backward, less the first layer's input gradient; plus the head."""
    cell = cells("finetune", scenarios=("permuted-digits/domain",))[0]
    record = run_cell(cell)
    first, last, steps_rows = 64 * 16, 16 * 10, 5 * 60
    assert record.flops.training == steps_rows * (4 * first + 6 * last)
    assert record.flops.inference == [2 * (first + last)] * 5
    assert record.flops.inference_modules == record.flops.inference
    assert record.parameters[-1]["total"] == 64 * 16 + 16 + 16 * 10 + 10


def test_replay_costs_what_it_costs():
    """ER's steps hold the batch and min(stored, batch) replayed; counted once a shape, exactly as if counted always."""
    scenario = small_permuted()
    totals = []
    for always in (False, True):
        method = METHODS["er"](buffer_size=25).start(scenario, SMALL_MODEL, SHORT)
        trainer = Trainer()
        if always:
            trainer.meter._counted = _Forgetful()
        for task in scenario.tasks:
            train_task(method, scenario, task, trainer)
        totals.append(trainer.meter.parts)
    assert totals[0] == totals[1]


class _Forgetful(dict):
    def __setitem__(self, key, value):
        pass


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"joint"}))
def test_flops_counted_once_a_shape_are_exact_for_every_method(name):
    settings = {"tasks": 2, "class_order": (0, 1, 2, 3), "samples_per_task": 25}
    scenario = small_split("task", **settings)
    if METHODS[name].incompatibility(scenario.layout):
        scenario = small_split("class", **settings)
    totals = []
    for always in (False, True):
        method = make(METHODS[name]).start(scenario, small_model(name), SHORT)
        trainer = Trainer()
        if always:
            trainer.meter._counted = _Forgetful()
        for task in scenario.tasks:
            train_task(method, scenario, task, trainer)
        totals.append(trainer.meter.parts)
    assert totals[0] == totals[1]


def test_joint_sees_all_tasks_and_its_last_row_is_offline_training():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = Joint().start(scenario, SMALL_MODEL, SHORT, seed=1)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    view = task_view(scenario, scenario.tasks[1], True)
    assert [len(p.data) for p in method.phases(view)] == [80]
    # from the initial weights, on everything, with the second task's batches: nothing of the first round is left
    again = Joint().start(scenario, SMALL_MODEL, SHORT, seed=1)
    train_task(again, scenario, scenario.tasks[1])
    for a, b in zip(method.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_long_streams_may_be_evaluated_every_few_tasks():
    """The rows that are there are those of an evaluation after every task, bit for bit; scores say what they lack."""
    every = run_cell(cells("er")[0])
    some = run_cell(cells("er", changes=["scenario.eval_every=2"])[0])
    tasks = every.settings["scenario"]["tasks"]
    assert tasks % 2 == 1  # so that the last row is there beside those of even numbers
    for i, (row, full) in enumerate(zip(some.matrix.correct, every.matrix.correct, strict=True)):
        assert row == (full if i % 2 == 0 or i == tasks else [None] * tasks)
    assert some.identity != every.identity
    assert "after every 2 tasks only" in some.not_evaluated["earlier rows"]
    frame = frame_of([some])
    assert frame[["acc", "la", "bwt", "aa"]].notna().loc[0].tolist() == [True, True, False, False]
    assert why_absent("bwt", some) == some.not_evaluated["earlier rows"]
    again = cells("er", changes=["scenario.eval_every=1"])[0]
    assert again.identity == every.identity


def test_joint_may_train_once_and_says_that_it_has_no_earlier_rows():
    """The last row is that of training after every task, bit for bit, for a fraction of the cost."""
    every = run_cell(cells("joint")[0])
    last = run_cell(cells("joint", changes=["methods.joint.rows=last"])[0])
    assert last.matrix.correct[-1] == every.matrix.correct[-1]
    assert all(count is None for row in last.matrix.correct[:-1] for count in row)
    assert last.steps < every.steps / 2
    assert "no answer before its last task" in last.not_evaluated["earlier rows"]
    assert "earlier rows" not in every.not_evaluated
    other = run_cell(cells("finetune")[0])
    frame = frame_of([last, other], [None, last])
    assert frame[["acc", "bwt"]].notna().loc[0].tolist() == [True, False]
    assert why_absent("bwt", last) == last.not_evaluated["earlier rows"]
    assert frame[["d", "intransigence"]].notna().loc[1].tolist() == [True, False]
    assert "joint method" in why_absent("intransigence", other, last)


def test_steps_instead_of_epochs_and_dropped_last_batches():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    for recipe, steps in (
        (Recipe(epochs=None, steps=7, batch_size=16), 7),
        (Recipe(epochs=2, batch_size=16), 6),
        (Recipe(epochs=2, batch_size=16, drop_last=True), 4),
    ):
        method = METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe)
        trainer = Trainer()
        train_task(method, scenario, scenario.tasks[0], trainer)
        assert trainer.steps == steps


def test_every_example_once_an_epoch():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, Recipe(epochs=1, batch_size=7))
    seen = []
    original = method.observe
    method.observe = lambda batch, *rest: (seen.append(batch.examples.images), original(batch, *rest))[1]
    train_task(method, scenario, scenario.tasks[0])
    images = scenario.tasks[0].train.examples().images.flatten(1)
    assert sorted(torch.cat(seen).flatten(1).tolist()) == sorted(images.tolist())


def test_optimizer_state_fresh_or_kept():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    for state, same in (("fresh", False), ("kept", True)):
        recipe = Recipe(
            epochs=1, batch_size=20, optimizer=OptimizerSettings(name="adam", lr=0.01), optimizer_state=state
        )
        method = METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe)
        trainer, used = Trainer(), []
        original = method.observe
        method.observe = lambda b, o, p, s=used, f=original: (s.append(o), f(b, o, p))[1]
        for task in scenario.tasks:
            train_task(method, scenario, task, trainer)
        assert (used[0] is used[-1]) == same
        assert list(trainer.optimizers.values()) == ([used[0]] if same else [])  # only what is kept is held
        assert int(next(iter(used[-1].state.values()))["step"]) == (4 if same else 2)


def test_kept_optimizer_state_and_a_growing_head_do_not_go_together():
    scenario = small_split("class", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, Recipe(epochs=1, optimizer_state="kept"))
    trainer = Trainer()
    train_task(method, scenario, scenario.tasks[0], trainer)
    with pytest.raises(ValueError, match="active_outputs: all"):
        train_task(method, scenario, scenario.tasks[1], trainer)


def test_cosine_schedule_ends_near_zero():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, Recipe(epochs=2, batch_size=20, schedule="cosine"))
    rates = []
    original = method.observe
    method.observe = lambda b, o, p: (rates.append(o.param_groups[0]["lr"]), original(b, o, p))[1]
    train_task(method, scenario, scenario.tasks[0])
    assert rates == pytest.approx([0.01, 0.01 * 0.853553, 0.005, 0.01 * 0.146447], rel=1e-4)


def test_a_phase_may_have_its_own_loss_and_parameters():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))

    class HeadOnly(Method):
        about = "trains the output layer alone, on a loss of its own"

        def phases(self, task):
            head = list(self.network.head.parameters())
            yield self.phase(task.train, name="head", parameters=head, loss=self._twice)

        def _twice(self, batch):
            return 2 * self.loss(batch)

    method = HeadOnly().start(scenario, SMALL_MODEL, SHORT)
    before = [p.clone() for p in method.network.backbone.parameters()]
    train_task(method, scenario, scenario.tasks[0])
    assert all(torch.equal(a, b) for a, b in zip(before, method.network.backbone.parameters(), strict=True))


def test_diverged_is_raised_by_fit():
    scenario = small_split("domain", tasks=2, class_order=(0, 1, 2, 3))
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, SHORT)
    view = task_view(scenario, scenario.tasks[0], False)
    method.enter(view)
    with pytest.raises(Diverged):
        fit(method, method.phase(view.train, loss=lambda batch: method.loss(batch) * float("nan")))


def test_split_mnist_record(data_root):
    """Real MNIST through the whole cell, a short recipe: rows are real counts of the official test set."""
    stream = Split(data="mnist", setting="class")
    scenario = stream.build(0, data_root)
    assert [len(t.test) for t in scenario.tasks] == [2115, 2042, 1874, 1986, 1983]
    method = METHODS["er"](buffer_size=200).start(scenario, SMALL_MODEL, Recipe(epochs=None, steps=60))
    from benchmarks.cell.evaluate import evaluate

    for task in scenario.tasks:
        train_task(method, scenario, task)
    correct = sum(c[0] for c in evaluate(method, scenario))
    assert correct / 10_000 > 0.5
    assert json.dumps(scenario.manifest)
