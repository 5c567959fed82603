"""What `list` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any


def methods() -> Iterator[str]:
    """Each method, the release it was held against, its hyperparameters, their defaults and where those come from."""
    from benchmarks.cli.declared import declared
    from methods import METHODS
    from methods.core.releases import HELD_AGAINST

    for name in METHODS:
        method = declared(name)
        of = method.attributes
        needs = ", needs the task id" if of["needs_task_id"] else ", sees past data" if of["sees_past_data"] else ""
        yield f"{name}: {of['about']} ({of['family']}{needs})" + (f"; {of['source']}" if of["source"] else "")
        yield f"    held against: {HELD_AGAINST.get(name, 'no release')}"
        for key, told in method.hyperparameters.items():
            source = f" [{told['source']}]" if told.get("source") else ""
            yield f"    {key} = {told['default']!r}: {told.get('about', '')}{source}"


def networks() -> Iterator[str]:
    """Each backbone that `model` can name, with its settings and their defaults."""
    from models import BACKBONES

    for cls in dict.fromkeys(BACKBONES.values()):
        names = [name for name, other in BACKBONES.items() if other is cls]
        yield f"{', '.join(names)}: {(cls.__doc__ or '').strip().splitlines()[0]}"
        for key, f in cls.model_fields.items():
            if key != "backbone":
                yield f"    {key} = {f.default!r}: {f.description or ''}"


def scenarios() -> Iterator[str]:
    """Each stream with its settings; then the data sets and the settings task, domain and class."""
    import ast

    from benchmarks.cli.declared import assigned, settings, settings_of
    from scenarios import SCENARIOS, WHERE

    for name in SCENARIOS:
        module, _, cls = WHERE.get(name, "").partition(".")
        stream = settings(f"scenarios.{module}", cls) if module else settings_of(SCENARIOS[name])
        yield f"{name}: {stream.about}"
        yield from (_setting(key, told) for key, told in stream.fields.items() if key != "stream")
    yield "of any stream, to evaluate on training images (docs/tuning.md):"
    yield from (_setting(*item) for item in settings("scenarios.validation", "Validation").fields.items())
    yield "transform, of image files:"
    yield from (_setting(*item) for item in settings("scenarios.image_transform", "ImageTransform").fields.items())
    datasets, kinds = assigned("scenarios.datasets", "DATASETS"), assigned("scenarios.setting", "SETTINGS")
    assert isinstance(datasets, ast.Dict)
    assert isinstance(kinds, ast.Dict)
    names = [ast.literal_eval(key) for key in datasets.keys if key]
    if (loaded := sys.modules.get("scenarios.datasets")) is not None:
        names = list(loaded.DATASETS)  # with those of plug-ins
    yield f"data: {', '.join(names)}, folder:NAME (the tree NAME/{{train,val}}/CLASS/ under DATA_ROOT), npz:FILE, hf:NAME"
    for made in kinds.values:
        assert isinstance(made, ast.Call)
        name, *_, about = (ast.literal_eval(argument) for argument in made.args)
        yield f"setting {name}: {about}"


def _setting(key: str, told: dict[str, Any]) -> str:
    default = f" = {told['default']!r}" if "default" in told else ""
    return f"    {key}{default}: {told.get('about', '')}"


def metrics() -> Iterator[str]:
    """Each score and cost: id, formula, direction, source."""
    from benchmarks.records.columns import COSTS
    from metrics import SCORES

    for score in SCORES.values():
        yield f"{score.id}: {score.formula} ({score.direction} is better; {score.source})"
    for cost in COSTS.values():
        yield f"{cost.id}: {cost.name} ({cost.direction} is better)"


def suites() -> Iterator[str]:
    """Each suite with its title."""
    from benchmarks.request.catalogue import path_of, suite_names
    from benchmarks.request.suite_yaml import read_yaml

    for name in suite_names():
        document = read_yaml(path_of(name).read_text())
        yield f"{name}: {document['title']}"


CATALOGUES: dict[str, Callable[[], Iterator[str]]] = {
    "methods": methods,
    "networks": networks,
    "scenarios": scenarios,
    "metrics": metrics,
    "suites": suites,
}


def contents() -> Iterator[str]:
    """What each of CATALOGUES lists."""
    for name, catalogue in CATALOGUES.items():
        about = (catalogue.__doc__ or "").strip().splitlines()[0]
        yield f"list {name}: {about[0].lower()}{about[1:]}"


def version_line() -> str:
    """Our version and those of what results depend on most."""
    import platform
    from importlib import metadata

    from benchmarks import __version__

    return f"retain {__version__}, torch {metadata.version('torch')}, Python {platform.python_version()}"
