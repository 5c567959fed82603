"""Hyperparameters and hooks."""

import pytest

from methods import ER, METHODS, Method, hyper
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
