"""What methods share that train on a task's data together with exemplars of the tasks before.

Their hyperparameters are those of `ExemplarMemory`: buffer_size, policy and select.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from methods.core.method import Method
from methods.parts.exemplars import ExemplarMemory
from methods.parts.features import features_of
from scenarios import Examples, OutputLayout


def exemplar_memory(method: Method) -> ExemplarMemory:
    """An empty memory as the hyperparameters of `method` say. Raises ValueError where a class would have no exemplar."""
    settings = {"policy": "total", "select": "random"} | method.hyperparameters()
    policy, select, generator = settings["policy"], settings["select"], method.generator("buffer")
    return ExemplarMemory(settings["buffer_size"], policy, select, generator, classes_of_tasks(method.layout))


def classes_of_tasks(layout: OutputLayout) -> int:
    """Classes of all tasks, which have a share of a memory each: where tasks share labels, each task's own."""
    return sum(columns.stop - columns.start for columns in layout.columns)


def keep_exemplars(method: Method, memory: ExemplarMemory, train: Examples, network: Any = None) -> None:
    """Makes room in `memory` and chooses exemplars of the new classes by the features of `network`, the method's of now
    where none is given."""
    memory.update(train, partial(features_of, method, network=network) if memory.select == "herding" else None)


def with_exemplars(train: Examples, memory: ExemplarMemory) -> Examples:
    """A task's training data and all exemplars stored."""
    return Examples.concatenate([train, memory.examples()]) if len(memory) else train


def even_draw(examples: Examples, n: int, generator: torch.Generator) -> torch.Tensor:
    """Rows of `examples`: n at random of each class (all of one with fewer), ascending; int64.

    Where tasks share labels, each task's class is a class of its own, as in the memory.
    """
    classes = torch.stack([examples.task_ids, examples.labels], dim=1).cpu()
    _, group = classes.unique(dim=0, return_inverse=True)
    shuffled = torch.randperm(len(group), generator=generator)
    by_class = shuffled[group[shuffled].argsort(stable=True)]
    sizes = group.bincount()
    starts = sizes.cumsum(0) - sizes
    place = torch.arange(len(group)) - starts[group[by_class]]
    return by_class[place < n].sort().values.to(examples.labels.device)


def smallest_class(examples: Examples) -> int:
    """Examples of the class with the fewest."""
    classes = torch.stack([examples.task_ids, examples.labels], dim=1)
    return int(classes.unique(dim=0, return_counts=True)[1].min())


def balanced_subset(examples: Examples, generator: torch.Generator) -> Examples:
    """As many examples of each class, drawn at random, as the smallest class has."""
    return examples[even_draw(examples, smallest_class(examples), generator)]
