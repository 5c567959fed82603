"""Data streams and settings: data sets cut into tasks."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from scenarios.lazy import LazyClasses, offers

if TYPE_CHECKING:
    from scenarios.dataset import DataNotFound
    from scenarios.datasets import DATASETS, load_dataset
    from scenarios.examples import Examples
    from scenarios.image_files import ImageFiles
    from scenarios.image_transform import CorruptImage, ImageTransform
    from scenarios.permuted import Permuted
    from scenarios.rotated import Rotated
    from scenarios.scenario import Normalise, Scenario, Subset, Task
    from scenarios.setting import SETTINGS, OutputLayout, layout_for, resolve_head
    from scenarios.split import Split
    from scenarios.stream import Stream

WHERE = {
    "split": "split.Split",
    "split-sample": "split_sample.SplitSample",
    "permuted": "permuted.Permuted",
    "rotated": "rotated.Rotated",
}
"""Every stream by its name in suites: the file and the class in it. A stream is added by a line here."""

SCENARIOS: MutableMapping[str, type[Stream]] = LazyClasses("scenarios", WHERE)

__getattr__ = offers(__name__, __file__)

__all__ = [
    "DATASETS",
    "SCENARIOS",
    "SETTINGS",
    "CorruptImage",
    "DataNotFound",
    "Examples",
    "ImageFiles",
    "ImageTransform",
    "Normalise",
    "OutputLayout",
    "Permuted",
    "Rotated",
    "Scenario",
    "Split",
    "Stream",
    "Subset",
    "Task",
    "layout_for",
    "load_dataset",
    "resolve_head",
]
