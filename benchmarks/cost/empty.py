"""Scenarios without content: the classes, sizes and shapes of the real ones, for what needs no pixels."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.cost.sizes import size_of_stream
from scenarios import Scenario, Stream
from scenarios.dataset import Dataset
from scenarios.datasets import Outline, in_files, load_dataset
from scenarios.own_names import is_own
from scenarios.validation import Validation


def empty_scenario(
    stream: Stream, seed: int, data_root: str | None, device: torch.device, most: int | None = None
) -> Scenario:
    """The scenario of `stream` with images of the right shape and no content, at most `most` of a class.

    All are one image, so that they take no memory; pixel maps are left out.
    """
    if most is not None:
        stream = stream.model_copy(update={"samples_per_task": None})
    facts = size_of_stream(stream, data_root)
    shape = shape_in(stream, facts)
    image = torch.randint(256, (1, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(device)
    images, labels = [], []
    for counts in (facts.train, facts.test):
        sizes = torch.tensor([n if most is None else min(n, most) for n in counts])
        labels.append(torch.arange(len(counts)).repeat_interleave(sizes))
        images.append(image.expand(len(labels[-1]), *shape))
    channels = shape[0]
    known = Dataset(
        stream.data, images[0], labels[0], images[1], labels[1], 255.0, (0.5,) * channels, (0.25,) * channels
    )
    dataset = _like_own(stream, known, data_root)
    scenario = stream.of_held_out(dataset, seed) if isinstance(stream, Validation) else stream.of(dataset, seed)
    tasks = tuple(
        replace(t, train=replace(t.train, pixel_map=None), test=replace(t.test, pixel_map=None)) for t in scenario.tasks
    )
    return replace(scenario, tasks=tasks)


def _like_own(stream: Stream, empty: Dataset, data_root: str | None) -> Dataset:
    """`empty` with the tasks and the type of pixels of data of one's own, where the stream is of these."""
    if not is_own(stream.data):
        return empty
    own = load_dataset(stream.data, data_root)
    dtype = own.train_images.dtype
    images = {n: getattr(empty, n)[:1].to(dtype).expand_as(getattr(empty, n)) for n in ("train_images", "test_images")}
    return replace(own, **images, train_labels=empty.train_labels, test_labels=empty.test_labels)


def shape_in(stream: Stream, facts: Outline) -> tuple[int, int, int]:
    """The shape [C, H, W] of an image in `stream`, of a data set with these facts."""
    if in_files(stream.data) and stream.transform is not None:
        return (3, stream.transform.image_size, stream.transform.image_size)
    return facts.image_shape
