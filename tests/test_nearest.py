"""One answer to every name that there is not."""

import pytest

from scenarios.nearest import closest, nearest, nearest_key, nearest_setting


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("finetun", "; did you mean 'finetune'?"),
        ("EWC", "; did you mean 'ewc'?"),
        ("xxxx", "; known: finetune, ewc"),
    ],
)
def test_the_nearest_name_or_all_of_a_few(name, said):
    assert nearest(name, ["finetune", "ewc"]) == said


def test_what_is_said_where_nothing_is_near():
    assert nearest("zzz", ["finetune"], "or a list") == "; or a list"
    assert nearest("zzz", [f"name{n}" for n in range(30)]) == ""
    assert nearest("zzz", []) == ""
    assert nearest("resnet19", ["resnet18"], prefix="timm:") == "; did you mean 'timm:resnet18'?"


def test_a_cut_off_may_be_stricter():
    assert closest("begin_tasks", ["begin_task"], cutoff=0.75) == "begin_task"
    assert closest("begin", ["begin_task"], cutoff=0.75) is None


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("lr", "optimizer.lr"),
        ("optimizer.lrr", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("epoch", "epochs"),
        ("optimizer.epochs", "epochs"),
        ("qqqq", None),
    ],
)
def test_a_dotted_key_is_named_whole(key, meant):
    assert nearest_key(key, ["epochs", "batch_size", "optimizer", "optimizer.lr", "optimizer.momentum"]) == meant


def test_a_dotted_key_may_stand_under_another():
    assert nearest_setting("lr", ["optimizer.lr"], within="training") == "; did you mean 'training.optimizer.lr'?"
    assert nearest_setting("qqqq", ["optimizer.lr"]) == ""
    assert nearest_setting("qqqq", ["optimizer.lr"], "keys are dotted") == "; keys are dotted"
