"""Data streams and settings: data sets cut into tasks."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from scenarios.lazy import LazyClasses, offers

if TYPE_CHECKING:
    from scenarios.arrays import OwnData, own_data
    from scenarios.dataset import DataNotFound
    from scenarios.datasets import DATASETS, load_dataset
    from scenarios.examples import Examples
    from scenarios.given import Given
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
    "given": "given.Given",
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
    "Given",
    "ImageFiles",
    "ImageTransform",
    "Normalise",
    "OutputLayout",
    "OwnData",
    "Permuted",
    "Rotated",
    "Scenario",
    "Split",
    "Stream",
    "Subset",
    "Task",
    "layout_for",
    "load_dataset",
    "own_data",
    "resolve_head",
]
