"""Balanced draws."""

from __future__ import annotations

import torch

from methods.parts.exemplar_training import balanced_subset, even_draw
from scenarios import Examples


def some(labels: list[int], tasks=0) -> Examples:
    n = len(labels)
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)
    return Examples(images, torch.tensor(labels), tasks)


def test_even_draw_takes_n_of_each_class_at_random():
    examples = some([0] * 5 + [1] * 3 + [0] * 5 + [2])
    rows = even_draw(examples, 2, torch.Generator().manual_seed(0))
    assert examples.labels[rows].bincount().tolist() == [2, 2, 1], "all of a class with fewer"
    assert len(set(rows.tolist())) == 5
    drawn = {tuple(even_draw(examples, 2, torch.Generator().manual_seed(s)).tolist()) for s in range(20)}
    assert len(drawn) > 5


def test_balanced_subset_has_as_many_of_each_class_as_the_smallest():
    examples = some([0] * 9 + [1] * 4 + [2] * 6)
    subset = balanced_subset(examples, torch.Generator().manual_seed(0))
    assert subset.labels.bincount().tolist() == [4, 4, 4]


def test_a_shared_label_of_two_tasks_is_two_classes():
    examples = some([0] * 8, torch.tensor([0] * 5 + [1] * 3))
    subset = balanced_subset(examples, torch.Generator().manual_seed(0))
    assert subset.task_ids.bincount().tolist() == [3, 3]
