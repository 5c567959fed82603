"""What `list` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path


def methods() -> Iterator[str]:
    """Each method, the release it was held against, its hyperparameters, their defaults and where those come from."""
    from dataclasses import fields

    from methods import METHODS
    from methods.core.releases import HELD_AGAINST

    for name, cls in METHODS.items():
        needs = ", needs the task id" if cls.needs_task_id else ", sees past data" if cls.sees_past_data else ""
        yield f"{name}: {cls.about} ({cls.family}{needs})" + (f"; {cls.source}" if cls.source else "")
        yield f"    held against: {HELD_AGAINST.get(name, 'no release')}"
        for f in fields(cls):  # type: ignore[arg-type]  # every method is a dataclass
            source = f" [{f.metadata['source']}]" if f.metadata.get("source") else ""
            yield f"    {f.name} = {f.default!r}: {f.metadata.get('about', '')}{source}"


def scenarios() -> Iterator[str]:
    """Each stream with its settings; then the data sets and the settings task, domain and class."""
    from scenarios import DATASETS, SCENARIOS, SETTINGS
    from scenarios.image_transform import ImageTransform

    for name, cls in SCENARIOS.items():
        yield f"{name}: {(cls.__doc__ or '').strip().splitlines()[0]}"
        for key, f in cls.model_fields.items():
            if key != "stream":
                default = "" if f.is_required() else f" = {f.default!r}"
                yield f"    {key}{default}: {f.description or ''}"
    yield "transform, of image files:"
    for key, f in ImageTransform.model_fields.items():
        yield f"    {key} = {f.default!r}: {f.description or ''}"
    yield f"data: {', '.join(DATASETS)}, folder:NAME (the tree NAME/{{train,val}}/CLASS/ under DATA_ROOT)"
    for name, setting in SETTINGS.items():
        yield f"setting {name}: {setting.about}"


def metrics() -> Iterator[str]:
    """Each score and cost: id, formula, direction, source."""
    from benchmarks.report.measures import COSTS
    from metrics import SCORES

    for score in SCORES.values():
        yield f"{score.id}: {score.formula} ({score.direction} is better; {score.source})"
    for cost in COSTS.values():
        yield f"{cost.id}: {cost.name} ({cost.direction} is better)"


def suites() -> Iterator[str]:
    """Each suite with its title."""
    from benchmarks.request.suite_yaml import SUITES, read_yaml, suite_names

    for name in suite_names():
        document = read_yaml((SUITES / f"{name}.yaml").read_text())
        yield f"{name}: {document['title']}"


CATALOGUES: dict[str, Callable[[], Iterator[str]]] = {
    "methods": methods,
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
    """Our version, as CITATION.cff has it, and those of what results depend on most."""
    import platform
    from importlib import metadata

    from benchmarks.request.suite_yaml import read_yaml

    ours = read_yaml((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    return f"retain {ours}, torch {metadata.version('torch')}, Python {platform.python_version()}"
