"""Data streams and settings: data sets cut into tasks."""

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

SCENARIOS: dict[str, type[Stream]] = {
    "split": Split,
    "permuted": Permuted,
    "rotated": Rotated,
}

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
