"""Hyperparameters and hooks."""

import pytest
import torch

from benchmarks.cell.run import task_view, train_task
from methods import ER, METHODS, Method, Recipe, hyper
from scenarios.augment import Flip
from scenarios.mixup import Mixup
from tests.conftest import SHORT, SMALL_MODEL, small_split


def test_a_misspelt_hook_is_an_error_at_class_creation():
    with pytest.raises(TypeError, match="begin_task"):

        class Wrong(Method):
            about = "misspelt"

            def begin_tasks(self, task): ...


def test_helpers_under_other_names_are_fine():
    class Right(Method):
        about = "fine"

        def mixed_loss_of_two_batches(self): ...

        def _begin_tasks(self): ...

    assert Right()


def test_hyperparameters_are_checked_and_fixed():
    method = ER(buffer_size=5)
    with pytest.raises(AttributeError, match="hyperparameter"):
        method.buffer_size = 6
    with pytest.raises(ValueError, match="buffer_size"):
        ER(buffer_size="many")
    with pytest.raises(ValueError, match="buffer_size"):
        ER(buffer_size=0)


def test_unknown_hyperparameters_are_all_named_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'buffer_size'") as error:
        ER.from_settings({"bufer_size": 5, "replay_ratios": 1.0})
    assert "did you mean 'replay_ratio'" in str(error.value)


def test_every_hyperparameter_and_method_says_what_it_is():
    from dataclasses import fields

    for name, cls in METHODS.items():
        assert cls.about, name
        assert cls.__doc__, name
        for f in fields(cls):
            assert f.metadata["about"], f"{name}.{f.name}"


def test_an_impossible_head_says_why_and_what_to_use():
    with pytest.raises(ValueError, match=r"'multi'.*class-incremental.*use 'growing'"):
        METHODS["finetune"]().start(small_split("class"), SMALL_MODEL.model_copy(update={"head": "multi"}), SHORT)


def test_a_hyperparameter_of_a_new_method_is_validated():
    class Mine(Method):
        about = "mine"
        rate: float = hyper(0.5, "a rate")

    assert Mine(rate=1).rate == 1.0
    with pytest.raises(ValueError, match="rate"):
        Mine(rate="fast")


def test_examples_to_look_at_come_in_order_unmixed_and_in_mixed_precision_unless_refused():
    scenario = small_split("class")
    recipe = Recipe(precision="bf16", augmentation=(Flip(probability=1.0),), mixup=Mixup())
    method = METHODS["finetune"]().start(scenario, SMALL_MODEL, recipe)
    method.enter(task_view(scenario, scenario.tasks[0], False))
    examples = method.task.train
    formats = []
    for wanted in (True, False):
        seen = []
        for batch in method.batches(examples, 7, mixed_precision=wanted):
            seen.append(batch)
            formats.append((wanted, torch.is_autocast_enabled("cpu")))
        assert [len(batch) for batch in seen] == [7, 7, 7, 7, 7, 5]
        assert torch.equal(torch.cat([batch.x for batch in seen]), method.normalise(examples.images))
        assert torch.equal(torch.cat([batch.y for batch in seen]), examples.labels)
    assert all(wanted == found for wanted, found in formats)
    assert not torch.is_autocast_enabled("cpu")
    method.augmenter.start(0, 0)
    (batch,) = method.batches(examples)
    assert batch.targets is None
    assert torch.equal(batch.x, method.normalise(examples.images.flip(-1)))


def test_a_footprint_is_what_public_attributes_store():
    class Keeper(Method):
        about = "keeps things"

        def end_task(self, task):
            self.hints = torch.zeros(3)
            self._scratch = torch.zeros(100)

    scenario = small_split("class")
    method = Keeper().start(scenario, SMALL_MODEL, SHORT)
    assert method.footprint() == {}
    train_task(method, scenario, scenario.tasks[0])
    assert method.footprint() == {"hints": 12}
