"""Small growing transformers on real digits, taken through a task phase by phase."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cell.fit import fit
from benchmarks.cell.run import task_view
from methods import Method, OptimizerSettings, Phase, Recipe
from models import model_settings
from tests.conftest import SMALL_TRANSFORMER, small_split

SMALL = {"buffer_size": 10, "finetune_epochs": 2}
RECIPE = Recipe(epochs=1, batch_size=20, optimizer=OptimizerSettings(name="adamw", lr=2e-3))
SCENARIO = small_split("class", tasks=3, class_order=(0, 1, 2, 3, 4, 5))


def started(cls: type[Method], recipe: Recipe = RECIPE, **settings) -> Method:
    """settings: hyperparameters, and those of the network."""
    hyperparameters = {name: settings.pop(name) for name in cls().hyperparameters() if name in settings}
    model = model_settings({"backbone": cls.backbones[0], **SMALL_TRANSFORMER, **settings})
    return cls.from_settings(SMALL | hyperparameters).start(SCENARIO, model, recipe)


def stages(method: Method, task: int) -> Iterator[tuple[str, Phase | None]]:
    """Trains `method` on a task; yields ("before" or "after", phase) around each phase, ("end", None) at the end."""
    view = task_view(SCENARIO, SCENARIO.tasks[task], False)
    method.enter(view)
    for index, phase in enumerate(method.phases(view)):
        yield "before", phase
        fit(method, phase, index=index)
        yield "after", phase
    method.end_task(view)
    yield "end", None


def learn(method: Method, task: int) -> None:
    for _ in stages(method, task):
        pass


def values(method: Method, *groups: str) -> list:
    """Copies of the network's parameters in these groups."""
    parts = method.network.parameter_groups()
    return [p.detach().clone() for group in groups for p in parts[group]]
