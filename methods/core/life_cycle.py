"""How a method is made ready for a scenario and for each of its tasks: its network built, grown and placed."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Self

import torch
from torch import nn

from methods.core.augmentation import Augmenter
from methods.core.batch import TaskView
from methods.core.compiled import compile_call
from methods.core.precision import gradient_scaler, resolve_precision
from methods.core.recipe import Recipe
from methods.core.state import State
from models import EXTRACTORS, FeatureSettings, HeadLayer, ModelSettings, build_network, kind_of, model_settings, ranks
from models.memory_format import why_contiguous
from scenarios import OutputLayout, Scenario, resolve_head
from scenarios.seeding import seed_for

NOT_KEPT = ("task", "_listed")
"""What a checkpoint between tasks leaves out."""


class LifeCycle(State):
    """`start` and `enter` are called by the runner; the hooks about the network, which they call, are here too."""

    needs_task_id: ClassVar[bool] = False
    """Cannot predict without being told the task."""
    needs_new_classes: ClassVar[bool] = False
    """Learns each class by itself: every task must bring new ones, and all of them are active."""
    reads_targets: ClassVar[bool] = True
    """Its loss follows `batch.targets`, the soft labels of mixed images; where it does not, mixup is refused."""
    backbones: ClassVar[tuple[str, ...]] = EXTRACTORS
    """Kinds of networks in `models.BACKBONES` that it can train; the first is the default."""

    def build(self, scenario: Scenario, model: ModelSettings) -> nn.Module:
        """The network before the first task. Draw weights from torch's default generator (it is seeded)."""
        return self.backbone_and_head(scenario, model)

    def grow(self, task: TaskView) -> None:
        """Makes room in the network for the columns of `task`. Draw weights from torch's default generator."""
        if hasattr(self.network, "expand"):
            self.network.expand(self.layout.width(task.id))

    def begin_task(self, task: TaskView) -> None:
        """See `Method.begin_task`."""

    def backbone_and_head(self, scenario: Scenario, model: ModelSettings, head_layer: HeadLayer | None = None) -> Any:
        """The network that `model` names, with an output layer of the method's own kind where it gives one.

        For `build`: head_layer makes it from (features, columns), e.g. `CosineHead`. A method that needs features
        before the last ReLU passes `model.model_copy(update={"last_relu": False})`.
        """
        head = resolve_head(self.layout, model.head)
        widths = [c.stop - c.start for c in self.layout.columns]
        return build_network(model, scenario.image_shape, head, widths, self.layout.width(-1), head_layer)

    def start(
        self,
        scenario: Scenario,
        model: ModelSettings | None = None,
        recipe: Recipe | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> Self:
        """Makes the method ready for the first task of `scenario`. Raises ValueError where they do not fit."""
        reason = self.incompatibility(scenario.layout)
        if reason:
            raise ValueError(reason)
        if recipe and recipe.mixup and (problem := self.mixup_problem()):
            raise ValueError(problem)
        model = model or model_settings({"backbone": self.backbones[0]})
        self.check_backbone(model)
        self.layout, self.seed = scenario.layout.with_head(model.head), seed
        self.whole_recipe = recipe or Recipe()
        self.recipe = self.whole_recipe.at(0)
        self.device, self.normalise = torch.device(device), scenario.normalise
        r = self.recipe
        self.mixed_precision = resolve_precision(r.precision, self.device)
        self.scaler = gradient_scaler(self.mixed_precision, self.device)
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
        self._listed = None
        self.begin_task(task)
        self._settle_network()

    def _settle_network(self) -> None:
        """The network, old or just replaced, on its device and as the recipe wants it run. Keeps all values."""
        self.network = ranks.synchronised(self.network.to(self.device))
        if self.recipe.channels_last:
            self._arrange(why_contiguous(self.network, self.device))
        if self.recipe.compile:
            # the backbone alone: heads grow, and the call of a head is not worth compiling
            compile_call(getattr(self.network, "backbone", self.network), self.recipe.compile)
        self._listed = None

    def _arrange(self, why_not: str | None) -> None:
        """Puts the network in channels-last order, or with a reason against it in contiguous order, and says so once."""
        order = f"contiguous: {why_not}" if why_not else "channels last"
        if why_not and order != self.memory_format:
            warnings.warn(f"training.channels_last: contiguous memory instead, {why_not}", stacklevel=2)
        self.memory_format = order
        self.network.to(memory_format=torch.contiguous_format if why_not else torch.channels_last)

    def mixup_problem(self) -> str | None:
        """Why it cannot train on images mixed in pairs, None where it can."""
        if self.reads_targets:
            return None
        return f"training.mixup: the loss of {type(self).__name__} takes each image's label for the whole image; leave mixup out"

    @classmethod
    def incompatibility(cls, layout: OutputLayout) -> str | None:
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
        any_extractor = set(EXTRACTORS) <= set(cls.backbones) and isinstance(model, FeatureSettings)  # a plug-in's too
        if not any_extractor and kind_of(model.backbone) not in cls.backbones:
            raise ValueError(
                f"{cls.__name__} trains {', '.join(cls.backbones)}, not {model.backbone}; a method of a suite can have a "
                f"network of its own: `model: {{backbone: {cls.backbones[0]}}}`"
            )

    def __getstate__(self) -> dict[str, Any]:
        """For checkpoints between tasks: without the finished task, whose images are the scenario's."""
        return {name: value for name, value in self.__dict__.items() if name not in NOT_KEPT}
