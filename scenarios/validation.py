"""Validation: a part of the training images stands in for the test images, which nothing reads; of all tasks or the first.

A suite asks for it by `validation: 0.1` under a scenario. What is trained and evaluated so has settings of its own, so
that its records are never taken for those of a test.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, Field, create_model, model_validator
from torch import Tensor

from scenarios.dataset import Dataset
from scenarios.datasets import data_roots, load_dataset
from scenarios.scenario import Scenario
from scenarios.seeding import generator_for
from scenarios.setting import layout_for
from scenarios.stream import Stream

PER_TASK = ("classes", "train_sizes", "test_sizes")
"""What a manifest lists task by task, and must list for the tasks that there are."""


class Validation(BaseModel):
    """What a stream has besides, and does otherwise, where it is evaluated on validation images: see `with_validation`."""

    validation: float = Field(
        gt=0,
        lt=1,
        description="part of each class's training images that stands in for the test images; these stay unread",
    )
    of_tasks: int | None = Field(
        None, ge=1, description="with validation: only the first `tasks` tasks of the stream that has so many"
    )

    base: ClassVar[type[Stream]] = Stream

    @model_validator(mode="after")
    def _first_tasks(self: Any) -> Any:
        if self.of_tasks is not None and self.of_tasks < self.tasks:
            raise ValueError(f"of_tasks: {self.of_tasks} is less than tasks: {self.tasks}, the first ones of them")
        return self

    def build(
        self: Any, seed: int = 0, data_root: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> Scenario:
        """As `Stream.build`."""
        dataset = _load_held_out(self.data, self.validation, tuple(root.absolute() for root in data_roots(data_root)))
        scenario = self.of_held_out(dataset, seed, name)
        return replace(scenario, manifest=scenario.manifest | {"data_checksum": dataset.checksum})

    def of(self: Any, dataset: Dataset, seed: int = 0, name: str | None = None) -> Scenario:
        """As `Stream.of`."""
        return self.of_held_out(held_out(dataset, self.validation), seed, name)

    def of_held_out(self: Any, dataset: Dataset, seed: int = 0, name: str | None = None) -> Scenario:
        """The same of a data set whose validation images are in the place of its test images already."""
        whole = self if self.of_tasks is None else self.model_copy(update={"tasks": self.of_tasks})
        scenario = self.base.of(whole, dataset, seed, name)
        if len(scenario.tasks) == self.tasks:
            return scenario
        tasks = scenario.tasks[: self.tasks]
        layout = layout_for(self.setting, [len(task.classes) for task in tasks], self.active_outputs)
        cut = {key: scenario.manifest[key][: self.tasks] for key in PER_TASK}
        return replace(scenario, tasks=tasks, layout=layout, manifest=scenario.manifest | cut)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.base, self.__getstate__())


@cache
def with_validation(cls: type[Stream]) -> type[Stream]:
    """The stream `cls` with the settings `validation` and `of_tasks`."""
    make: Any = create_model  # whose types know no two bases
    made = make(f"{cls.__name__}WithValidation", __base__=(Validation, cls), __module__=cls.__module__)
    made.base = cls
    made.__doc__ = cls.__doc__
    return made


def held_out(dataset: Dataset, part: float) -> Dataset:
    """`dataset` with a `part` of each class's training images, at least one, in place of its test images.

    The same for every seed, so that what is computed once for an image is of use to all. The test images and labels
    are not touched. Raises ValueError where a class has a single image.
    """
    labels = dataset.train_labels
    chosen = _drawn(labels, part)
    rows = [torch.nonzero(mask).flatten() for mask in (~chosen, chosen)]
    train, validation = (dataset.train_images.index_select(0, own) for own in rows)
    return replace(
        dataset,
        train_images=train,
        train_labels=labels[rows[0]],
        test_images=validation,
        test_labels=labels[rows[1]],
    )


def held_out_counts(counts: Tensor, part: float) -> Tensor:
    """Of so many images of each class (int64 [K]) how many are held out: at least one, and not all."""
    return torch.minimum((counts * part).round().clamp(min=1).long(), counts - 1)


def _drawn(labels: Tensor, part: float) -> Tensor:
    """bool [N]: the rows that are held out."""
    order = torch.randperm(len(labels), generator=generator_for(0, "validation"))
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.unique(return_counts=True)[1]
    if int(counts.min()) < 2:
        raise ValueError("validation: a class has a single training image, of which none can be held out")
    quotas = held_out_counts(counts, part)
    place = torch.cat([torch.arange(int(count)) for count in counts])  # of each row within its class
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class[place < quotas.repeat_interleave(counts)]] = True
    return chosen


@lru_cache(maxsize=2)
def _load_held_out(name: str, part: float, roots: tuple[Path, ...]) -> Dataset:
    # cached by place, as `load_dataset`: a worker that runs many cells divides each data set once
    return held_out(load_dataset(name, roots[0]), part)


def _restored(base: type[Stream], state: dict[Any, Any]) -> Stream:
    cls = with_validation(base)
    stream = cls.__new__(cls)
    stream.__setstate__(state)
    return stream
