"""What every stream of tasks has in common: the settings a suite can give and how tasks are cut from a data set."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from scenarios.dataset import Dataset
from scenarios.datasets import in_files, load_dataset
from scenarios.image_files import ImageFiles, Images, decode_once
from scenarios.image_transform import AnyTransform, DecodedOnce, ImageTransform, check_transform, decoder_name
from scenarios.scenario import Normalise, PixelMap, Scenario, Subset, Task
from scenarios.seeding import generator_for
from scenarios.setting import ActiveOutputs, layout_for


class MeanStd(BaseModel):
    """An explicit normalisation: (pixel / scale - mean) / std."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    mean: float
    std: float = Field(gt=0)


class Stream(BaseModel):
    """Settings shared by all streams. A subclass says, in `make_tasks`, what its tasks are."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    data: str = Field(description="data set")
    setting: Literal["task", "domain", "class"] = Field(description="task-, domain- or class-incremental")
    tasks: int = Field(5, ge=1, description="number of tasks")
    samples_per_task: int | None = Field(None, ge=1, description="training images a task, drawn per seed; null: all")
    sampling: Literal["even", "random"] | None = Field(
        None,
        description='how `samples_per_task` are drawn: "even", as many of each class as of another (to one), which is '
        'the default; or "random" among all images of the task',
    )
    padding: int = Field(0, ge=0, description="zero pixels added on every side")
    normalisation: Literal["dataset", "unit"] | MeanStd = Field(
        "dataset", description='"dataset": its mean and std; "unit": pixels in [0, 1]; or {mean, std}'
    )
    active_outputs: ActiveOutputs = Field(
        "seen",
        description='class-incremental: columns that compete in training: "seen", "all", or the example\'s "task"',
    )

    transform: AnyTransform | None = Field(
        None,
        description="of image files, for training and test (timm's create_transform), or with decode: once into memory; "
        "none for data in memory",
    )

    eval_every: int = Field(
        1,
        ge=1,
        description="tasks between two rows of the accuracy matrix; the rows before any and after all are always there",
    )

    version: ClassVar[int] = 1
    """Raised when the same settings make a different stream: old records then no longer count as done."""
    added_later: ClassVar[frozenset[str]] = frozenset({"transform", "sampling", "eval_every"})
    """Settings whose default is what was done before they existed: with it, older records stay valid."""
    former_values: ClassVar[dict[str, Any]] = {"sampling": "random"}
    """Of settings that were added with another default: what was done before, with which older records stay valid."""

    @model_validator(mode="after")
    def _sampling_is_resolved(self):
        if self.samples_per_task is None:
            if self.sampling is not None:
                raise ValueError("sampling says how samples_per_task are drawn, and samples_per_task is not given")
        elif self.sampling is None:
            object.__setattr__(self, "sampling", "even")  # resolved: it decides results
        return self

    @model_validator(mode="after")
    def _transform_is_for_files(self):
        if not in_files(self.data):
            if self.transform is not None:
                raise ValueError(f"transform is for data sets of image files; {self.data} is held in memory")
            return self
        if self.padding and not isinstance(self.transform, DecodedOnce):
            raise ValueError(f"padding is for data in memory; {self.data} is in files: see transform.image_size")
        if self.transform is None:
            object.__setattr__(self, "transform", ImageTransform())  # resolved: it decides results
        return self

    def make_tasks(self, dataset: Dataset, seed: int) -> tuple[list[tuple[int, ...]], list[PixelMap | None], dict]:
        """Per task its classes and its pixel map, and what the manifest should say of them."""
        raise NotImplementedError

    def check_seed(self, seed: int) -> None:
        """Raises ValueError where there is no such stream for `seed`; known without the data."""

    def build(
        self, seed: int = 0, data_root: str | os.PathLike[str] | None = None, name: str | None = None
    ) -> Scenario:
        """The scenario of this stream for `seed`. Raises DataNotFound, or ValueError for settings that can't be met."""
        dataset = load_dataset(self.data, data_root)
        scenario = self.of(dataset, seed, name)
        return replace(scenario, manifest=scenario.manifest | {"data_checksum": dataset.checksum})

    def of(self, dataset: Dataset, seed: int = 0, name: str | None = None) -> Scenario:
        """The same of a data set at hand, e.g. one without pixels, to be counted and not learned."""
        classes, pixel_maps, manifest = self.make_tasks(dataset, seed)
        layout = layout_for(self.setting, [len(c) for c in classes], self.active_outputs)
        train_images, test_images = self._images(dataset.train_images), self._images(dataset.test_images)
        if isinstance(dataset.train_images, ImageFiles):
            manifest |= {"decoder": decoder_name()}
        if isinstance(train_images, ImageFiles):
            if any(pixel_map is not None for pixel_map in pixel_maps):
                raise ValueError(f"{type(self).__name__} changes pixels in memory; {self.data} is in files")
            check_transform(train_images.transform)
        tasks = []
        for i, (task_classes, pixel_map) in enumerate(zip(classes, pixel_maps, strict=True)):
            column = torch.full((dataset.n_classes,), -1)
            column[list(task_classes)] = torch.arange(layout.columns[i].start, layout.columns[i].stop)
            train = _subset(train_images, dataset.train_labels, column, i, pixel_map)
            if self.samples_per_task is not None and self.samples_per_task < len(train):
                train = self._sample(train, seed)
            test = _subset(test_images, dataset.test_labels, column, i, pixel_map)
            tasks.append(Task(i, task_classes, layout.columns[i], train, test))
        manifest |= {
            "classes": [list(c) for c in classes],
            "train_sizes": [len(t.train) for t in tasks],
            "test_sizes": [len(t.test) for t in tasks],
        }
        return Scenario(
            name=name or f"{type(self).__name__.lower()}-{self.data}/{self.setting}",
            tasks=tuple(tasks),
            layout=layout,
            image_shape=(train_images.shape[1], train_images.shape[2], train_images.shape[3]),
            normalise=self._normalise(dataset),
            manifest=manifest,
            version=self.version,
            eval_every=self.eval_every,
        )

    def _images(self, images: Images) -> Images:
        if isinstance(images, ImageFiles):
            if not isinstance(self.transform, DecodedOnce):
                return replace(images, transform=self.transform or images.transform)
            images = decode_once(images, self.transform.each_time())
        return F.pad(images, (self.padding,) * 4) if self.padding else images

    def _sample(self, subset: Subset, seed: int) -> Subset:
        """`samples_per_task` rows of `subset`. Raises ValueError where a class is left without any."""
        n = self.samples_per_task
        order = torch.randperm(len(subset), generator=generator_for(seed, "samples", subset.task))
        if self.sampling == "even":
            order = _alternating(order, subset.labels)
        chosen = order[:n].sort().values
        labels = subset.labels[chosen]
        without = len(subset.labels.unique()) - len(labels.unique())
        if without:
            raise ValueError(
                f"samples_per_task: {n} leaves {without} of the {len(subset.labels.unique())} classes of task "
                f"{subset.task + 1} without a training image; give more"
                + (", or sampling: even" if self.sampling == "random" else "")
            )
        return Subset(subset.images, subset.rows[chosen], labels, subset.task, subset.pixel_map)

    def _normalise(self, dataset: Dataset) -> Normalise:
        if self.normalisation == "dataset":
            return Normalise(dataset.scale, dataset.mean, dataset.std)
        if self.normalisation == "unit":
            return Normalise(dataset.scale, (0.0,), (1.0,))
        return Normalise(dataset.scale, (self.normalisation.mean,), (self.normalisation.std,))


def _subset(images: Images, labels: Tensor, column: Tensor, task: int, pixel_map: PixelMap | None) -> Subset:
    """The rows whose class has a column in this task, with their labels mapped."""
    mapped = column[labels]
    rows = torch.nonzero(mapped >= 0).flatten()
    return Subset(images, rows, mapped[rows], task, pixel_map)


def _alternating(order: Tensor, labels: Tensor) -> Tensor:
    """`order` (rows, int64 [N]) rearranged so that any first n of it have each class of `labels` equally often, to one,
    as long as the class has images left."""
    by_class = order[labels[order].argsort(stable=True)]  # class by class, each in the order drawn
    counts = labels.unique(return_counts=True)[1]
    place = torch.cat([torch.arange(int(count)) for count in counts])  # of each row within its class
    first_drawn = torch.empty_like(order)
    first_drawn[order] = torch.arange(len(order))
    # round by round; within a round in the order drawn, so that no class is preferred for the odd ones out
    return by_class[(place * len(order) + first_drawn[by_class]).argsort()]


def resolve_class_order(order: str | tuple[int, ...], n_classes: int, seed: int) -> list[int]:
    """Natural order, one drawn per seed, or the one given. Raises ValueError for one that is no permutation."""
    if order == "natural":
        return list(range(n_classes))
    if order == "per_seed":
        return torch.randperm(n_classes, generator=generator_for(seed, "classes")).tolist()
    if len(set(order)) != len(order) or not set(order) <= set(range(n_classes)):
        raise ValueError(f"class_order {order} must name each of the classes 0..{n_classes - 1} at most once")
    return [int(c) for c in order]


def checksum_of(values: Any) -> str:
    """Short hash of a permutation, for the manifest."""
    import hashlib

    return hashlib.sha256(np.asarray(values, dtype=np.int64).tobytes()).hexdigest()[:16]
