"""A data set of one's own: arrays, tensors or `torch.utils.data.Dataset`s, in one piece or one a task, checked.

data = own_data((x_train, y_train), (x_test, y_test))          # to be split into tasks
data = own_data([first, second], [first_test, second_test])    # a list: one data set a task
save(data, "mine.npz")                                         # in a suite then `data: npz:mine.npz`
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenarios.dataset import Dataset

AT_ONCE = 4096
"""Images that are copied to other types at a time."""
SHOWN = 5
COLOURS = (1, 3, 4)
"""Numbers of channels by which [N, H, W, C] is told from [N, C, H, W]."""
Part = tuple[Tensor, np.ndarray]
"""Images [N, C, H, W], uint8 or float64, and labels [N], whole numbers or texts."""


@dataclass(frozen=True)
class OwnData(Dataset):
    """Images [N, C, H, W] in memory, uint8 or float64, else as `Dataset`.

    class_names: of each label. tasks: where the data came one a task, the labels of each; every pair of task and label is
    then a label of its own, and `given_labels` holds the one that was given.
    """

    class_names: tuple[str, ...] = ()
    tasks: tuple[tuple[int, ...], ...] = ()
    given_labels: tuple[int, ...] = ()

    @cached_property
    def checksum(self) -> str:
        """sha256 (16 hex digits) over all that decides results: images, labels, tasks, mean and std."""
        digest = hashlib.sha256(repr((self.scale, self.mean, self.std, self.tasks)).encode())
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
            digest.update(part.numpy().data)
        return digest.hexdigest()[:16]


def own_data(
    train: Any,
    test: Any,
    name: str = "own",
    classes: Sequence[str] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    image_size: int | None = None,
) -> OwnData:
    """The data set of these training and test images.

    train, test: each a pair (images, labels) of arrays or tensors, or a Dataset of (image, label); or a list of these, one
    a task. Images: uint8 or floating point, [N, C, H, W], [N, H, W, C] with 1, 3 or 4 channels, [N, H, W], or vectors
    [N, F], which are images of F channels and one pixel. Labels: 0 to K-1, or the names of the classes. classes: their
    names in order. mean, std: of the pixels / 255, or of floating-point values as they are, one number or one a channel;
    computed from the training images unless given. Floating-point images of which all are pixels / 255 are
    held as these pixels. image_size: height and width that images are resized to.
    Raises ValueError with all that is wrong, a line each.
    """
    per_task = isinstance(train, list)
    problems: list[str] = []
    if per_task != isinstance(test, list) or (per_task and len(train) != len(test)):
        raise ValueError(
            f"train is {_kind(train)}, test is {_kind(test)}: give both as one data set, or both as a list of equally many, "
            "one a task"
        )
    parts: dict[str, list[Part | None]] = {}
    for kind, given in (("train", train), ("test", test)):
        sources = given if per_task else [given]
        wheres = [f"{kind}, task {t + 1}" if per_task else kind for t in range(len(sources))]
        parts[kind] = [_part(s, where, image_size, problems) for s, where in zip(sources, wheres, strict=True)]
    if per_task and not train:
        problems.append("train and test are empty lists: give a data set for every task")
    if problems:
        raise ValueError("\n".join(problems))
    whole = {kind: [p for p in found if p is not None] for kind, found in parts.items()}
    names = _class_names(whole, classes, problems)
    if not problems:
        _check_alike(whole, problems)
    if problems:
        raise ValueError("\n".join(problems))
    labels = {k: [_numbers(part[1], names) for part in found] for k, found in whole.items()}
    _check_classes(labels, names, per_task, problems)
    tasks, given_labels = _relabelled(labels) if per_task and not problems else ((), ())
    images = {k: torch.cat([part[0] for part in found]) for k, found in whole.items()}
    if images["train"].is_floating_point():
        pixels = {kind: found for kind in images if (found := _as_pixels(images[kind])) is not None}
        images = pixels if len(pixels) == len(images) else images
    scale = 255.0 if images["train"].dtype == torch.uint8 else 1.0
    statistics = _normalisation(images["train"], scale, mean, std, problems)
    if problems:
        raise ValueError("\n".join(problems))
    return OwnData(
        name,
        images["train"],
        torch.cat(labels["train"]),
        images["test"],
        torch.cat(labels["test"]),
        scale,
        *statistics,
        class_names=tuple(names[label] for label in given_labels) if tasks else names,
        tasks=tasks,
        given_labels=given_labels,
    )


# ---- files -------------------------------------------------------------------------------------------------------

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
KERAS_KEYS = ("x_train", "y_train", "x_test", "y_test")
"""How Keras names the same arrays in its files."""
TASK_KEYS = ("train_tasks", "test_tasks")
MORE_KEYS = ("classes", "mean", "std")


def save(data: OwnData, path: str | os.PathLike[str]) -> Path:
    """Writes `data` as a .npz file that `npz:FILE` reads: the arrays of KEYS, and `mean`, `std`, `classes`; with one data
    set a task also TASK_KEYS, the task of each image, from 0."""
    arrays = {key: part.numpy() for key, part in zip(KEYS, _arrays(data), strict=True)}
    classes = list(data.class_names)
    if data.tasks:
        task_of = np.repeat(np.arange(len(data.tasks)), [len(labels) for labels in data.tasks])
        given = np.array(data.given_labels)
        for kind in ("train", "test"):
            arrays[f"{kind}_tasks"] = task_of[arrays[f"{kind}_labels"]]
            arrays[f"{kind}_labels"] = given[arrays[f"{kind}_labels"]]
        named = dict(zip(data.given_labels, data.class_names, strict=True))
        classes = [named[label] for label in sorted(named)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:  # a file, or numpy would add an ending
        np.savez(file, allow_pickle=False, classes=np.array(classes), mean=data.mean, std=data.std, **arrays)
    os.replace(temporary, path)
    return path


def load(path: str | os.PathLike[str], name: str = "") -> OwnData:
    """The data set in a .npz file. Raises ValueError for what is none, with all that is wrong, and OSError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"no .npz file of arrays ({error}); write it with numpy.savez") from None
    keys = KERAS_KEYS if KERAS_KEYS[0] in arrays else KEYS
    missing = [key for key in keys if key not in arrays]
    unknown = sorted(arrays.keys() - {*keys, *TASK_KEYS, *MORE_KEYS})
    if missing or unknown:
        said = [f"{what} {', '.join(found)}" for what, found in (("lacks", missing), ("has", unknown)) if found]
        raise ValueError(
            f"{' and '.join(said)}; a data set has {', '.join(KEYS)}, and perhaps {', '.join((*TASK_KEYS, *MORE_KEYS))}"
        )
    pairs = [(arrays[keys[0]], arrays[keys[1]]), (arrays[keys[2]], arrays[keys[3]])]
    train, test = pairs
    if any(key in arrays for key in TASK_KEYS):
        train, test = _by_task(pairs, [arrays.get(key) for key in TASK_KEYS])  # type: ignore[assignment]
    more: dict[str, Any] = {key: arrays[key].tolist() for key in MORE_KEYS if key in arrays}
    return own_data(train, test, name=name or f"npz:{Path(path).name}", **more)


def _by_task(pairs: list[tuple[np.ndarray, np.ndarray]], tasks: list[np.ndarray | None]) -> list[list]:
    found = []
    n_tasks = max((int(t.max()) + 1 for t in tasks if t is not None and t.size and t.dtype.kind in "iu"), default=0)
    for key, (images, labels), task in zip(TASK_KEYS, pairs, tasks, strict=True):
        if task is None or task.dtype.kind not in "iu" or task.shape != labels.shape[:1] or (task < 0).any():
            raise ValueError(f"{key} should hold the task of every image, whole numbers from 0, as the other one does")
        found.append([(images[task == t], labels[task == t]) for t in range(n_tasks)])
    return found


def _arrays(data: Dataset) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return data.train_images, data.train_labels, data.test_images, data.test_labels


# ---- from what was given to tensors --------------------------------------------------------------------------------


def _kind(given: Any) -> str:
    return f"a list of {len(given)}" if isinstance(given, list) else "one data set"


def _part(source: Any, where: str, image_size: int | None, problems: list[str]) -> Part | None:
    """The images and labels of one source; None where something is wrong, which is added to `problems`."""
    try:
        if isinstance(source, tuple):
            if len(source) != 2:
                raise ValueError(f"a tuple of {len(source)}; give (images, labels)")
            images, labels = _images(source[0]), _labels(source[1])
        else:
            images, labels = _read(source, image_size)
        if len(images) != len(labels):
            raise ValueError(f"{len(images):,} images and {len(labels):,} labels; give one label for each image")
        if not len(images):
            raise ValueError("no images; leave an empty task out, or give its images")
        return (_resized(images, image_size) if image_size else images), labels
    except ValueError as error:
        problems.append(f"{where}: {error}")
        return None


def _images(given: Any) -> Tensor:
    if not isinstance(given, (np.ndarray, Tensor)):
        raise ValueError(f"images are {type(given).__name__}; give a numpy array or a tensor, [N, C, H, W]")
    images = given.detach().cpu() if isinstance(given, Tensor) else torch.from_numpy(_tensor_ready(given))
    if images.dtype != torch.uint8 and not images.is_floating_point():
        hint = "; 0/1 masks as uint8 * 255" if images.dtype == torch.bool else ""
        raise ValueError(
            f"images are {_dtype(images)}; give uint8 pixels from 0 to 255 (`images.astype('uint8')` where they are in that "
            f"range) or floating point{hint}"
        )
    shape = tuple(images.shape)
    if images.ndim == 4:
        last = shape[3] in COLOURS and shape[1] not in COLOURS and shape[2] not in COLOURS
        images = images.permute(0, 3, 1, 2) if last else images
    elif images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 2:
        images = images[:, :, None, None]
    else:
        raise ValueError(
            f"images have the shape {shape}; give [N, C, H, W], [N, H, W, C], [N, H, W], or vectors [N, F]"
        )
    if 0 in images.shape[1:]:
        raise ValueError(f"images have the shape {shape}: an image without pixels")
    if images.is_floating_point():
        broken = int((~images.flatten(1).isfinite().all(1)).sum()) if len(images) else 0
        if broken:
            raise ValueError(f"{broken:,} of {len(images):,} images hold NaN or infinity; leave them out")
        # where a batch is normalised it is made float32, in a copy; float32 would itself be changed there
        images = images.to(torch.float64)
    return images.contiguous()


def _as_pixels(images: Tensor) -> Tensor | None:
    """Floating-point images that are pixels / 255, as torchvision's ToTensor makes them, as these pixels; None for others."""
    pixels = torch.empty(images.shape, dtype=torch.uint8)
    for part, found in zip(pixels.split(AT_ONCE), images.split(AT_ONCE), strict=True):
        scaled = found * 255
        part.copy_(scaled.round().clamp(0, 255))
        if not torch.allclose(part.to(torch.float64), scaled, rtol=0, atol=1e-3):
            return None
    return pixels


def _tensor_ready(array: np.ndarray) -> np.ndarray:
    """What torch can take over: numbers, in the machine's byte order, writable."""
    if array.dtype.kind not in "fiub":
        raise ValueError(f"images are of dtype {array.dtype}; give uint8 pixels or floating point")
    if array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array if array.flags.writeable and min(array.strides, default=0) >= 0 else array.copy()


def _dtype(images: Tensor) -> str:
    return str(images.dtype).removeprefix("torch.")


def _labels(given: Any) -> np.ndarray:
    labels = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if labels.ndim != 1:
        hint = " (`labels.argmax(1)` of one-hot labels)" if labels.ndim == 2 else ""
        raise ValueError(f"labels have the shape {labels.shape}; give one a image, [N]{hint}")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind not in "iuU" and labels.size:
        raise ValueError(
            f"labels are of dtype {labels.dtype}; give whole numbers from 0 (`labels.astype(int)`), or names of classes"
        )
    if labels.dtype.kind in "iu" and labels.size and labels.min() < 0:
        raise ValueError(f"there is a label {labels.min()}; labels are 0 to K-1")
    return labels


def _read(source: Any, image_size: int | None) -> Part:
    """All of a map-style Dataset, item by item, as it is the only way to its data."""
    if isinstance(source, torch.utils.data.TensorDataset) and len(source.tensors) == 2:
        return _images(source.tensors[0]), _labels(source.tensors[1])
    if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")) or isinstance(source, (np.ndarray, Tensor)):
        raise ValueError(
            f"{type(source).__name__}; give (images, labels), or a Dataset with a length, of (image, label)"
        )
    images, labels = [], []
    for image, label in _items(source):
        images.append(_image(image, image_size))
        labels.append(label.item() if isinstance(label, (Tensor, np.generic)) else label)
    sizes = sorted({tuple(image.shape) for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f"images differ in shape: {', '.join(map(str, sizes[:SHOWN]))}{', ...' if len(sizes) > SHOWN else ''}; give image_size"
        )
    if not images:
        return torch.empty(0, 1, 1, 1), np.empty(0, int)
    return _images(torch.stack(images)), _labels(labels)


def _items(source: Any) -> Iterator[tuple[Any, Any]]:
    for k in range(len(source)):
        item = source[k]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise ValueError(f"item {k} of the Dataset is {type(item).__name__}; it should give (image, label)")
        yield item[0], item[1]


def _image(image: Any, image_size: int | None) -> Tensor:
    """One image of a Dataset: a tensor, an array or a PIL image, as a tensor [C, H, W] or a vector."""
    if not isinstance(image, (Tensor, np.ndarray)):
        if not hasattr(image, "convert"):
            raise ValueError(f"an image is {type(image).__name__}; give tensors, arrays or PIL images")
        image = np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
        image = image[:, :, None] if image.ndim == 2 else image
        image = torch.from_numpy(image).permute(2, 0, 1)
    tensor = torch.as_tensor(image)
    if image_size and tensor.ndim >= 2:
        batch = tensor[None] if tensor.ndim == 3 else tensor[None, None]
        return _resized(_images(batch), image_size)[0]
    return tensor


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[2:] == (size, size):
        return images
    if images.shape[2:] == (1, 1):
        raise ValueError("image_size is for images; these are vectors")
    from torchvision.transforms.v2.functional import resize

    return torch.cat([resize(part, [size, size], antialias=True) for part in images.split(AT_ONCE)])


# ---- classes and normalisation -------------------------------------------------------------------------------------


def _class_names(parts: dict[str, list[Part]], given: Sequence[str] | None, problems: list[str]) -> tuple[str, ...]:
    """The name of each class, in the order of their labels."""
    labels = [part[1] for found in parts.values() for part in found]
    texts = [part.dtype.kind == "U" for part in labels]
    if any(texts) and not all(texts):
        problems.append("some labels are names and others numbers; give all of them as one or the other")
        return ()
    seen = np.unique(np.concatenate(labels))
    names = tuple(map(str, given)) if given is not None else tuple(seen.tolist()) if all(texts) else None
    if names is None:
        return (
            tuple(str(label) for label in range(int(seen.max()) + 1)) if seen.max() < 10**6 else tuple(map(str, seen))
        )
    if len(set(names)) < len(names):
        problems.append(f"classes names {_listed(sorted({n for n in names if names.count(n) > 1}))} more than once")
    if all(texts):
        strangers = sorted(set(seen.tolist()) - set(names))
        if strangers:
            problems.append(f"labels {_listed(strangers)} are not among classes; add them there")
    elif seen.max() >= len(names):
        problems.append(f"there is a label {seen.max()}, and classes names {len(names)}: 0 to {len(names) - 1}")
    return names


def _numbers(labels: np.ndarray, names: tuple[str, ...]) -> Tensor:
    if labels.dtype.kind == "U":
        order = np.argsort(names)
        labels = order[np.searchsorted(np.array(names)[order], labels)]
    return torch.from_numpy(labels.astype(np.int64))


def _check_alike(parts: dict[str, list[Part]], problems: list[str]) -> None:
    """All images have one shape and type."""
    kinds: dict[str, list[str]] = {}
    for kind, found in parts.items():
        for t, (images, _) in enumerate(found):
            where = f"{kind}, task {t + 1}" if len(found) > 1 else kind
            kinds.setdefault(f"{_dtype(images)} of shape {tuple(images.shape[1:])}", []).append(where)
    if len(kinds) > 1:
        said = "; ".join(f"{kind} in {_listed(wheres)}" for kind, wheres in kinds.items())
        problems.append(f"images differ, {said}: give all of one type and shape, or image_size to resize them")


def _check_classes(
    labels: dict[str, list[Tensor]], names: tuple[str, ...], per_task: bool, problems: list[str]
) -> None:
    """Every class has training and test images, in each task that it is in."""
    if not per_task:
        counts = {kind: torch.bincount(found[0], minlength=len(names)) for kind, found in labels.items()}
        nowhere = ((counts["train"] == 0) & (counts["test"] == 0)).nonzero().flatten().tolist()
        if nowhere:
            problems.append(
                f"{_classes(nowhere, names)} no image; number the classes 0 to K-1 without gaps "
                "(`numpy.unique(labels, return_inverse=True)[1]`)"
            )
    for t, (train, test) in enumerate(zip(labels["train"], labels["test"], strict=True)):
        where = f"task {t + 1}: " if per_task else ""
        here, there = set(train.unique().tolist()), set(test.unique().tolist())
        if there - here:
            problems.append(
                f"{where}{_classes(sorted(there - here), names)} test images and no training images; leave these out, or "
                "add training images"
            )
        if here - there:
            problems.append(
                f"{where}{_classes(sorted(here - there), names)} training images and no test images; each class is tested: "
                "keep some of its images for the test"
            )


def _relabelled(labels: dict[str, list[Tensor]]) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Gives every pair of task and label a number of its own, in `labels`; the numbers of each task, and the label that
    each of them was."""
    tasks, given, first = [], [], 0
    for t in range(len(labels["train"])):
        own = labels["train"][t].unique()
        for found in labels.values():
            found[t] = torch.searchsorted(own, found[t]) + first
        tasks.append(tuple(range(first, first + len(own))))
        given += own.tolist()
        first += len(own)
    return tuple(tasks), tuple(given)


def _normalisation(
    images: Tensor, scale: float, mean: Any, std: Any, problems: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, of pixel / scale. A channel that is constant gets a standard deviation of 1."""
    channels = images.shape[1]
    given = {}
    for name, value in (("mean", mean), ("std", std)):
        numbers = None if value is None else tuple(float(v) for v in np.atleast_1d(np.asarray(value, dtype=float)))
        if numbers is not None and len(numbers) not in (1, channels):
            problems.append(
                f"{name} has {len(numbers)} numbers for images of {channels} channels; give one, or one each"
            )
        if numbers is not None and not all(np.isfinite(numbers)):
            problems.append(f"{name} should be finite, not {numbers[:SHOWN]}")
        given[name] = numbers
    if given["std"] is not None and min(given["std"]) <= 0:
        problems.append(f"std should be above 0, not {min(given['std'])}")
    if (mean is None) != (std is None):
        problems.append(f"{'mean' if std is None else 'std'} is given alone; give mean and std, or neither")
    if given["mean"] is not None and given["std"] is not None:
        width = max(len(given["mean"]), len(given["std"]))
        return tuple((m * width)[:width] for m in (given["mean"], given["std"]))  # type: ignore[return-value]
    total, squares = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for part in images.split(AT_ONCE):
        values = part.to(torch.float64).transpose(0, 1).flatten(1) / scale
        total += values.sum(1)
        squares += values.square().sum(1)
    n = images.numel() / channels
    means = total / n
    stds = (squares / n - means.square()).clamp(min=0).sqrt()
    stds = torch.where(stds < 1e-6, 1.0, stds)
    return tuple(round(float(m), 6) for m in means), tuple(round(float(s), 6) for s in stds)


def _classes(labels: list[int], names: tuple[str, ...]) -> str:
    word, verb = ("class", "has") if len(labels) == 1 else ("classes", "have")
    return f"{word} {_listed([names[label] for label in labels])} {verb}"


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
