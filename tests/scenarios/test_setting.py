"""Output columns under the three settings."""

import pytest
import torch

from scenarios import layout_for, resolve_head
from scenarios.active import ALL


def test_task_incremental_columns():
    layout = layout_for("task", [2, 3])
    assert layout.columns == (slice(0, 2), slice(2, 5))
    assert [layout.width(t) for t in (-1, 0, 1)] == [5, 5, 5]
    assert layout.active_in_training(1, seen=2).columns == slice(2, 5)
    assert layout.active_at_test(1, seen=1).columns == slice(2, 5)
    assert layout.can_evaluate(1, seen=0)
    assert layout.past_groups(1) == [slice(0, 2)]
    assert layout.other_view(0, seen=2).columns == slice(0, 5)
    assert layout.forward_transfer_reason() is None


def test_domain_incremental_columns():
    layout = layout_for("domain", [2, 2])
    assert layout.columns == (slice(0, 2), slice(0, 2))
    assert [layout.width(t) for t in (-1, 0, 1)] == [2, 2, 2]
    assert layout.active_in_training(1, seen=2) is ALL
    assert layout.active_at_test(1, seen=1).columns == slice(0, 2)
    assert layout.other_view(0, seen=2) is None
    assert layout.past_groups(1) == [slice(0, 2)]


def test_class_incremental_columns():
    layout = layout_for("class", [2, 2, 2])
    assert [layout.width(t) for t in (-1, 0, 1, 2)] == [0, 2, 4, 6]
    assert layout.active_in_training(1, seen=2) is ALL
    assert layout.active_at_test(0, seen=2).columns == slice(0, 4)
    assert layout.can_evaluate(0, seen=1)
    assert not layout.can_evaluate(1, seen=1)
    assert layout.other_view(0, seen=2).columns == slice(0, 2)
    assert layout.past_groups(2) == [slice(0, 4)]
    assert "class-incremental" in layout.forward_transfer_reason()


def test_all_outputs_active_from_the_start():
    layout = layout_for("class", [2, 2], active_outputs="all")
    assert [layout.width(t) for t in (-1, 0, 1)] == [4, 4, 4]
    assert layout.active_in_training(0, seen=1) is ALL
    assert layout.active_at_test(0, seen=1).columns == slice(0, 2)


def test_a_masked_head_is_whole_from_the_start_though_only_what_is_seen_is_active():
    layout = layout_for("class", [2, 2, 2]).with_head("masked")
    assert [layout.width(t) for t in (-1, 0, 1)] == [6, 6, 6]
    assert layout.active_in_training(0, seen=1).columns == slice(0, 2)
    assert layout.active_in_training(torch.tensor([0, 1]), seen=2).columns == slice(0, 4), (
        "replayed examples are treated as new ones are"
    )
    assert layout.active_at_test(0, seen=2).columns == slice(0, 4)
    assert layout.with_head("auto").width(-1) == 0


def test_mixed_batches_get_a_mask_per_example():
    expected = torch.tensor([[True, True, False, False], [False, False, True, True]])
    for setting, active in (("task", "seen"), ("class", "task")):
        layout = layout_for(setting, [2, 2], active)
        assert torch.equal(layout.active_in_training(torch.tensor([0, 1]), seen=2).mask, expected)


@pytest.mark.parametrize(
    ("setting", "head", "use"),
    [
        ("class", "multi", "growing"),
        ("domain", "growing", "shared"),
        ("task", "shared", "multi"),
        ("class", "nope", "auto"),
    ],
)
def test_heads_that_do_not_fit(setting, head, use):
    with pytest.raises(ValueError, match=use):
        resolve_head(layout_for(setting, [2, 2]), head)


def test_default_heads():
    assert [resolve_head(layout_for(s, [2, 2]), "auto") for s in ("task", "domain", "class")] == [
        "multi",
        "shared",
        "growing",
    ]


def test_unknown_setting():
    with pytest.raises(ValueError, match="unknown setting 'tasks'; did you mean 'task'"):
        layout_for("tasks", [2, 2])
