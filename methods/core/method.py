"""The contract of a method.

A method is a set of hyperparameters and a few hooks around one minibatch loop, which it does not own:

    begin_task -> for each phase: (loss -> backward -> adjust_gradients -> step -> after_step)* -> end_task

and `predict`. It never asks which setting it is in: `self.layout` says which output columns exist and compete.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self, dataclass_transform

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from methods.core import losses
from methods.core.augmentation import Augmenter
from methods.core.batch import Batch, TaskView
from methods.core.hyperparameters import explain, hyper, hyperparameter_model
from methods.core.precision import Precision, autocast, gradient_scaler, resolve_precision
from methods.core.recipe import SCHEDULE_PARTS, Phase, Recipe
from models import EXTRACTORS, HeadLayer, ModelSettings, build_network, kind_of, model_settings, ranks
from models.memory_format import why_contiguous
from scenarios import Examples, ImageFiles, OutputLayout, Scenario, resolve_head
from scenarios.image_files import Images
from scenarios.nearest import closest
from scenarios.seeding import generator_for, seed_for
from scenarios.setting import Active

NOT_KEPT = ("task",)
"""What a checkpoint between tasks leaves out."""


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
    backbones: ClassVar[tuple[str, ...]] = EXTRACTORS
    """Kinds of networks in `models.BACKBONES` that it can train; the first is the default."""
    own_network: ClassVar[str] = ""
    """The network that it builds where that is not the one of the model settings, in words: `joint` then trains another
    one. {hyperparameter} stands for its value, {model} for the network of the model settings."""
    reads_pixels: ClassVar[bool] = False
    """Uses images for more than the backbone's features of them, so features cannot stand in their place."""
    family: ClassVar[str] = "other"
    """baseline, regularisation, replay, projection, expansion, ..."""

    network: Any
    """The nn.Module that is trained, of the kind that `build` makes."""
    layout: OutputLayout
    recipe: Recipe
    """The current task's, so without `first`: that of the first task until the second is entered."""
    whole_recipe: Recipe
    """As the suite gives it, for all tasks: `at(task)` is a task's."""
    number_format: Precision
    """In which forward passes run: the recipe's precision, resolved."""
    scaler: torch.amp.GradScaler | None
    """fp16 alone needs one; `observe` unscales before `adjust_gradients`."""
    memory_format: str
    """Of images and convolutions: "channels last", or "contiguous" and why, where the recipe asked for the other."""
    augmenter: Augmenter
    seed: int
    device: torch.device
    task: TaskView
    seen: int
    """Tasks begun so far."""

    # ---- hooks, in the order in which they are called ------------------------------------------------------

    def build(self, scenario: Scenario, model: ModelSettings) -> nn.Module:
        """The network before the first task. Draw weights from torch's default generator (it is seeded)."""
        return self.backbone_and_head(scenario, model)

    def grow(self, task: TaskView) -> None:
        """Makes room in the network for the columns of `task`. Draw weights from torch's default generator."""
        if hasattr(self.network, "expand"):
            self.network.expand(self.layout.width(task.id))

    def begin_task(self, task: TaskView) -> None:
        """Before training on `task`; the network already has the task's output columns."""

    def phases(self, task: TaskView) -> Iterable[Phase]:
        """The training stages of the task, in order."""
        yield self.phase(task.train)

    def observe(self, batch: Batch, optimizer: torch.optim.Optimizer, phase: Phase) -> Tensor:
        """One training step; returns the loss. The template that the finer hooks hang on."""
        with self.precision(), ranks.divided_batches():
            loss = self.loss(batch) if phase.loss is None else phase.loss(batch)
        optimizer.zero_grad()
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()
        ranks.average_gradients(phase.parameters)
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)
        self.adjust_gradients(batch)
        if phase.clip_gradient is not None:
            phase.clip_gradient(phase.parameters)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()
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

    def diagnostics(self) -> dict[str, float]:
        """What else the record should say after each task, by name, e.g. {"exemplars": 2000}."""
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

    def backbone_and_head(self, scenario: Scenario, model: ModelSettings, head_layer: HeadLayer | None = None) -> Any:
        """The network that `model` names, with an output layer of the method's own kind where it gives one.

        For `build`: head_layer makes it from (features, columns), e.g. `CosineHead`. A method that needs features
        before the last ReLU passes `model.model_copy(update={"last_relu": False})`.
        """
        head = resolve_head(self.layout, model.head)
        widths = [c.stop - c.start for c in self.layout.columns]
        return build_network(model, scenario.image_shape, head, widths, self.layout.width(-1), head_layer)

    def phase(self, data: Examples, **changes: Any) -> Phase:
        """A phase over `data` by the recipe, with `changes`, e.g. name="finetune", epochs=2, parameters=[...].

        epochs in place of the recipe's steps, and the other way round; naming `schedule` leaves the recipe's
        milestones and warm-up out. `schedule_scale` then scales what results, also lengths that are the method's own.
        """
        r = self.recipe
        settings: dict[str, Any] = {
            "parameters": [p for p in self.network.parameters() if p.requires_grad],
            "epochs": r.epochs if changes.get("steps") is None else None,
            "steps": r.steps if changes.get("epochs") is None else None,
            "batch_size": r.batch_size,
            "drop_last": r.drop_last,
            "optimizer": r.optimizer,
            "optimizer_state": r.optimizer_state,
            "clip_gradient": r.clip_gradient,
        }
        if "schedule" not in changes:
            settings |= {name: getattr(r, name) for name in ("schedule", *SCHEDULE_PARTS)}
        settings |= changes
        if r.lr_batch is not None:
            optimizer = settings["optimizer"]
            lr = optimizer.lr * settings["batch_size"] / r.lr_batch
            settings["optimizer"] = optimizer.model_copy(update={"lr": lr})
        return Phase(data, **settings).scaled(r.schedule_scale)

    def batch(self, examples: Examples, epoch: int = 0, pixels: Tensor | None = None) -> Batch:
        """Stored examples made ready for the network: augmented while a phase that augments runs, then normalised.

        pixels: uint8, the same examples decoded and augmented already, as the loop does ahead of the steps.
        """
        own = pixels is None
        x = self.normalise(self._augmented(examples.images) if pixels is None else pixels)
        if self.memory_format == "channels last":
            x = x.contiguous(memory_format=torch.channels_last)
        active = self.active_in_training(examples.tasks)
        batch = Batch(x, examples.labels, examples.tasks, active, examples, epoch)
        if self.augmenter.mixes():
            self._mix(batch, own)
        return batch

    def _augmented(self, images: Images) -> Tensor:
        """Stored images -> uint8 [N, C, H, W]. Files are decoded and augmented for training, anew at every call."""
        if isinstance(images, ImageFiles):
            self._decoded += 1
            return images.to(self.device).decode(seed_for(self.seed, "decode", self.task.id, self._decoded))
        return self.augmenter.old(images)

    def _mix(self, batch: Batch, own: bool) -> None:
        """Mixes images in pairs and gives the batch soft targets; all columns of either partner compete."""
        hard = F.one_hot(batch.y, self.layout.width(self.task.id)).to(batch.x.dtype)
        mixed = self.augmenter.mix(batch.x, hard, own)
        if mixed is None:
            return
        batch.x, targets = mixed
        if isinstance(batch.active, Tensor):
            batch.active = batch.active[:, : targets.shape[1]] | (targets > 0)
        batch.targets = losses.smoothed(targets, batch.active, self.recipe.label_smoothing)

    def join(self, *batches: Batch) -> Batch:
        """One batch of all examples of `batches`, whose images are ready and are not made so again."""
        examples = Examples.concatenate([b.examples for b in batches])
        active = self.active_in_training(examples.tasks)
        x = torch.cat([b.x for b in batches])
        joined = Batch(x, examples.labels, examples.tasks, active, examples, batches[0].epoch)
        if any(b.targets is not None for b in batches):
            joined.targets = torch.cat([self._targets(b) for b in batches])
        return joined

    def _targets(self, batch: Batch) -> Tensor:
        if batch.targets is not None:
            return batch.targets
        hard = F.one_hot(batch.y, self.layout.width(self.task.id)).to(batch.x.dtype)
        return losses.smoothed(hard, batch.active, self.recipe.label_smoothing)

    def active_in_training(self, tasks: int | Tensor) -> Active:
        """The classes that compete in the loss of examples from `tasks` (one id, or int64 [N]): the setting's."""
        return self.layout.active_in_training(tasks, self.seen)

    def logits(self, batch: Batch) -> Tensor:
        """The network's logits [N, columns so far] for a batch."""
        return self.network(batch.x, batch.tasks)

    def cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy over the columns that compete; against soft targets where images are mixed."""
        if batch.targets is not None:
            return losses.soft_cross_entropy(logits, batch.targets, batch.active)
        return losses.cross_entropy(logits, batch.y, batch.active, label_smoothing=self.recipe.label_smoothing)

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
        model = model or model_settings({"backbone": self.backbones[0]})
        self.check_backbone(model)
        self.layout, self.seed = scenario.layout.with_head(model.head), seed
        self.whole_recipe = recipe or Recipe()
        self.recipe = self.whole_recipe.at(0)
        self.device, self.normalise = torch.device(device), scenario.normalise
        r = self.recipe
        self.number_format = resolve_precision(r.precision, self.device)
        self.scaler = gradient_scaler(self.number_format, self.device)
        self.augmenter = Augmenter(r.augmentation, r.mixup, seed, scenario.normalise.scale)
        self.seen, self.memory_format = 0, "contiguous"
        torch.manual_seed(seed_for(seed, "init"))
        self.network = self.build(scenario, model)
        self._settle_network()
        return self

    def enter(self, task: TaskView) -> None:
        """Grows the network for `task`, with initial weights that depend on seed and task alone; then `begin_task`."""
        self.task, self.seen = task, task.id + 1
        self.recipe = self.whole_recipe.at(task.id)
        self._decoded = 0  # batches of files decoded on demand in this task: each has draws of its own
        torch.manual_seed(seed_for(self.seed, "task", task.id))
        self.grow(task)
        self.network.to(self.device)  # new parts were made on the processor
        self.begin_task(task)
        self._settle_network()

    def _settle_network(self) -> None:
        """The network, old or just replaced, on its device and as the recipe wants it run. Keeps all values."""
        self.network = ranks.synchronised(self.network.to(self.device))
        if self.recipe.channels_last:
            self._arrange(why_contiguous(self.network, self.device))
        if self.recipe.compile:
            # the backbone alone: heads grow, and the call of a head is not worth compiling
            part = getattr(self.network, "backbone", self.network)
            if part._compiled_call_impl is None:
                part.compile()

    def _arrange(self, why_not: str | None) -> None:
        """Puts the network in channels-last order, or with a reason against it in contiguous order, and says so once."""
        order = f"contiguous: {why_not}" if why_not else "channels last"
        if why_not and order != self.memory_format:
            warnings.warn(f"training.channels_last: contiguous memory instead, {why_not}", stacklevel=2)
        self.memory_format = order
        self.network.to(memory_format=torch.contiguous_format if why_not else torch.channels_last)

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

    @classmethod
    def check_backbone(cls, model: ModelSettings) -> None:
        """Raises ValueError where the method cannot train this kind of network."""
        if kind_of(model.backbone) not in cls.backbones:
            raise ValueError(
                f"{cls.__name__} trains {', '.join(cls.backbones)}, not {model.backbone}; a method of a suite can have a "
                f"network of its own: `model: {{backbone: {cls.backbones[0]}}}`"
            )

    def precision(self):
        """The autocast context of forward passes. Wrap in it whatever runs the network outside `observe`."""
        return autocast(self.number_format, self.device)

    def __getstate__(self) -> dict[str, Any]:
        """For checkpoints between tasks: without the finished task, whose images are the scenario's."""
        return {name: value for name, value in self.__dict__.items() if name not in NOT_KEPT}

    # ---- hyperparameters ------------------------------------------------------------------------------------

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclass(eq=False)(cls)
        _check_hooks(cls)

    def __post_init__(self):
        settings = self.hyperparameters()
        try:
            checked = hyperparameter_model(type(self))(**settings)
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

        Raises ValueError that names every unknown or ill-typed one, a line each, with the nearest valid name.
        """
        try:
            checked = hyperparameter_model(cls)(**settings)
        except ValidationError as error:
            raise ValueError("\n".join(explain(error, cls._hyperparameter_names()))) from None
        return cls(**checked.model_dump())


def _check_hooks(cls: type[Method]) -> None:
    """A public method that is nearly, but not quite, a hook is a misspelling: TypeError at class creation."""
    hooks = [name for name, value in vars(Method).items() if not name.startswith("_") and callable(value)]
    for name, value in vars(cls).items():
        if name.startswith("_") or not inspect.isfunction(value) or name in hooks:
            continue
        near = closest(name, hooks, cutoff=0.75)
        if near is not None:
            raise TypeError(
                f"{cls.__name__}.{name} looks like the hook {near!r}, misspelt: nothing would call it. "
                f"Rename it, or give a helper a name of its own (a leading underscore will do)."
            )
