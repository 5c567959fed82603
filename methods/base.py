"""The contract of a method.

A method is a set of hyperparameters and a few hooks around one minibatch loop, which it does not own:

    begin_task -> for each phase: (loss -> backward -> adjust_gradients -> step -> after_step)* -> end_task

and `predict`. It never asks which setting it is in: `self.layout` says which output columns exist and compete.
"""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Self, dataclass_transform, get_type_hints

import torch
from pydantic import ConfigDict, ValidationError, create_model
from torch import Tensor, nn

from methods import losses
from methods.batch import Batch, TaskView
from methods.recipe import Phase, Recipe
from models import ModelSettings, build_network
from scenarios import Examples, OutputLayout, Scenario, resolve_head
from scenarios.seeding import generator_for, seed_for


def hyper(default: Any, about: str, source: str = "") -> Any:
    """A hyperparameter: its default, what it is in one line, and where the default comes from."""
    return field(default=default, metadata={"about": about, "source": source})


@dataclass_transform(field_specifiers=(hyper, field), eq_default=False)
class Method:
    """Base of all methods; as it stands, plain sequential training on each task.

    A subclass annotates its hyperparameters (`hyper`), which become constructor arguments and are validated and
    fixed there; everything learned is state, set from `start` on.
    """

    about: ClassVar[str]
    """One line for tables and `list`."""
    source: ClassVar[str] = ""
    version: ClassVar[int] = 1
    """Raised when the same hyperparameters give other results: old records then no longer count as done."""
    added_later: ClassVar[frozenset[str]] = frozenset()
    """Hyperparameters whose default is what was done before they existed: with it, older records stay valid."""
    needs_task_id: ClassVar[bool] = False
    """Cannot predict without being told the task."""
    needs_new_classes: ClassVar[bool] = False
    """Learns each class by itself: every task must bring new ones, and all of them compete."""
    sees_past_data: ClassVar[bool] = False
    """Is given the training data of earlier tasks again: an upper bound, not a continual method."""
    predicts_unseen: ClassVar[bool] = True
    """Has an answer for tasks that it has not begun."""
    family: ClassVar[str] = "other"
    """baseline, regularisation, replay, projection, expansion, ..."""

    network: Any
    """The nn.Module that is trained, of the kind that `build` makes."""
    layout: OutputLayout
    recipe: Recipe
    seed: int
    device: torch.device
    task: TaskView
    seen: int
    """Tasks begun so far."""

    # ---- hooks, in the order in which they are called ------------------------------------------------------

    def build(self, scenario: Scenario, model: ModelSettings) -> nn.Module:
        """The network before the first task. Draw weights from torch's default generator (it is seeded)."""
        head = resolve_head(self.layout, model.head)
        widths = [c.stop - c.start for c in self.layout.columns]
        return build_network(model, scenario.image_shape, head, widths, self.layout.width(-1))

    def begin_task(self, task: TaskView) -> None:
        """Before training on `task`; the network already has the task's output columns."""

    def phases(self, task: TaskView) -> Iterable[Phase]:
        """The training stages of the task, in order."""
        yield self.phase(task.train)

    def observe(self, batch: Batch, optimizer: torch.optim.Optimizer, phase: Phase) -> Tensor:
        """One training step; returns the loss. The template that the finer hooks hang on."""
        with self.precision():
            loss = self.loss(batch) if phase.loss is None else phase.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        self.adjust_gradients(batch)
        optimizer.step()
        with torch.no_grad():
            self.after_step(batch)
        return loss.detach()

    def loss(self, batch: Batch) -> Tensor:
        """What a step minimises: a scalar."""
        return self.cross_entropy(self.logits(batch), batch)

    def adjust_gradients(self, batch: Batch) -> None:
        """Between backward and step: `parameter.grad` may be changed."""

    def after_step(self, batch: Batch) -> None:
        """After the optimizer's step; called under torch.no_grad()."""

    def end_task(self, task: TaskView) -> None:
        """After the last phase."""

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        """Scores [N, columns so far] for float x [N, C, H, W]; `task_id` only where the setting grants one."""
        return self.network(x)

    def answers(self, task_id: int) -> bool:
        """Whether `predict` has, as the method stands now, an answer for task `task_id`; else the cell stays NaN."""
        return task_id < self.seen or self.predicts_unseen

    def footprint(self) -> dict[str, int]:
        """Bytes kept between tasks besides the network, by part, e.g. {"buffer": ...}."""
        return {}

    def step_shape(self, batch: Batch) -> tuple:
        """All that the FLOPs of a step depend on within a phase; each distinct one is counted once."""
        return (len(batch),)

    def extra_flops(self) -> int:
        """FLOPs since the last call that run outside torch, e.g. in a solver."""
        return 0

    def parameters_report(self) -> dict[str, int]:
        """Parameter counts of the network now."""
        total = sum(p.numel() for p in self.network.parameters())
        trainable = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        return {"total": total, "frozen": total - trainable, "trainable": trainable}

    # ---- what hooks call ------------------------------------------------------------------------------------

    def phase(self, data: Examples, **changes: Any) -> Phase:
        """A phase over `data` by the recipe, with `changes`, e.g. name="finetune", epochs=2, parameters=[...]."""
        r = self.recipe
        settings: dict[str, Any] = {
            "parameters": [p for p in self.network.parameters() if p.requires_grad],
            "epochs": r.epochs,
            "steps": r.steps,
            "batch_size": r.batch_size,
            "drop_last": r.drop_last,
            "optimizer": r.optimizer,
            "optimizer_state": r.optimizer_state,
            "schedule": r.schedule,
        }
        return Phase(data, **(settings | changes))

    def batch(self, examples: Examples, epoch: int = 0) -> Batch:
        """Stored examples made ready for the network."""
        return Batch(
            self.normalise(examples.images),
            examples.labels,
            examples.tasks,
            self.layout.active_in_training(examples.tasks, self.seen),
            examples,
            epoch,
        )

    def logits(self, batch: Batch) -> Tensor:
        """The network's logits [N, columns so far] for a batch."""
        return self.network(batch.x, batch.tasks)

    def cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy over the columns that compete."""
        return losses.cross_entropy(logits, batch.y, batch.active)

    def generator(self, *purpose: str | int) -> torch.Generator:
        """A generator of this cell's seed for one purpose, e.g. "buffer"."""
        return generator_for(self.seed, *purpose)

    def frozen_copy(self) -> nn.Module:
        """The network as it is now, in eval mode and without gradients: a teacher."""
        teacher = copy.deepcopy(self.network).eval()
        return teacher.requires_grad_(False)

    # ---- life cycle, called by the runner ------------------------------------------------------------------

    def start(
        self,
        scenario: Scenario,
        model: ModelSettings | None = None,
        recipe: Recipe | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Makes the method ready for the first task of `scenario`. Raises ValueError where they do not fit."""
        reason = self.misfit(scenario.layout)
        if reason:
            raise ValueError(reason)
        model = model or ModelSettings()
        self.layout, self.recipe, self.seed = scenario.layout.with_head(model.head), recipe or Recipe(), seed
        self.device, self.normalise = torch.device(device), scenario.normalise
        self.seen = 0
        torch.manual_seed(seed_for(seed, "init"))
        self.network = self.build(scenario, model).to(self.device)
        return self

    def enter(self, task: TaskView) -> None:
        """Grows the network for `task`, with initial weights that depend on seed and task alone; then `begin_task`."""
        self.task, self.seen = task, task.id + 1
        torch.manual_seed(seed_for(self.seed, "task", task.id))
        if hasattr(self.network, "expand"):
            self.network.expand(self.layout.width(task.id))
            self.network.to(self.device)
        self.begin_task(task)

    @classmethod
    def misfit(cls, layout: OutputLayout) -> str | None:
        """Why this method cannot run with this layout, None where it can."""
        if cls.needs_task_id and not layout.setting.task_id_at_test:
            return (
                f"{cls.__name__} needs the task id at test, which the {layout.setting.name}-incremental setting withholds; "
                "use a task-incremental scenario"
            )
        if cls.needs_new_classes and (layout.setting.shared_labels or layout.setting.task_id_at_test):
            return (
                f"{cls.__name__} learns each class by itself, which the {layout.setting.name}-incremental setting has no "
                "use for; use a class-incremental scenario"
            )
        return None

    def precision(self):
        """The autocast context of forward passes."""
        return nullcontext()

    # ---- hyperparameters ------------------------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclass(eq=False)(cls)
        _check_hooks(cls)

    def __post_init__(self):
        settings = self.hyperparameters()
        try:
            checked = _hyperparameter_model(type(self))(**settings)
        except ValidationError as error:
            raise ValueError(f"{type(self).__name__}: " + "; ".join(explain(error))) from None
        for name in settings:
            object.__setattr__(self, name, getattr(checked, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ and name in self._hyperparameter_names():
            raise AttributeError(f"{type(self).__name__}.{name} is a hyperparameter and stays as constructed")
        object.__setattr__(self, name, value)

    def hyperparameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._hyperparameter_names()}

    @classmethod
    def _hyperparameter_names(cls) -> list[str]:
        return [f.name for f in fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The method with `settings` in place of defaults.

        Raises ValueError that names every unknown or ill-typed one, with the nearest valid name.
        """
        try:
            checked = _hyperparameter_model(cls)(**settings)
        except ValidationError as error:
            raise ValueError("; ".join(explain(error, cls._hyperparameter_names()))) from None
        return cls(**checked.model_dump())


def explain(error: ValidationError, known: list[str] | None = None) -> list[str]:
    """A pydantic error as lines "dotted.key: what is wrong", unknown keys with the nearest of `known`."""
    lines = []
    for e in error.errors():
        key = ".".join(str(part) for part in e["loc"])
        if e["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key.rsplit(".", 1)[-1], known or [], n=1, cutoff=0.5)
            lines.append(f"{key}: no such setting" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            message = e["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {message}" if key else message)
    return lines


def _hyperparameter_model(cls: type[Method]):
    """A strict pydantic model of the hyperparameters of `cls`."""
    hints = get_type_hints(cls, include_extras=True)
    definitions: dict[str, Any] = {
        f.name: (hints[f.name], ... if f.default is MISSING else f.default)
        for f in fields(cls)  # type: ignore[arg-type]
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", strict=True), **definitions)


def _check_hooks(cls: type[Method]) -> None:
    """A public method that is nearly, but not quite, a hook is a misspelling: TypeError at class creation."""
    hooks = [name for name, value in vars(Method).items() if not name.startswith("_") and callable(value)]
    for name, value in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(value) or name in hooks:
            continue
        near = difflib.get_close_matches(name, hooks, n=1, cutoff=0.75)
        if near:
            raise TypeError(
                f"{cls.__name__}.{name} looks like the hook {near[0]!r}, misspelt: nothing would call it. "
                f"Rename it, or give a helper a name of its own (a leading underscore will do)."
            )
