"""The contract of a method.

A method is a set of hyperparameters and a few hooks around one minibatch loop, which it does not own:

    begin_task -> for each phase: (loss -> backward -> adjust_gradients -> step -> after_step)* -> end_task

and `predict`. It never asks which setting it is in: `self.layout` says which output columns exist and which are active.
What it stores between tasks is a public attribute, `self.buffer` for examples; what it only remembers for a while has
an underscore.

Here are the hooks and what they call. Beside it: `state` (what a method has), `life_cycle` (building and growing the
network), `batching` (from stored examples to batches and their loss), `hyperparameters`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, dataclass_transform

import torch
from torch import Tensor, nn

from methods.core import step
from methods.core.batch import Batch, TaskView
from methods.core.batching import Batching
from methods.core.compiled import compiled, step_begins
from methods.core.hyperparameters import Configured, check_hooks, hyper
from methods.core.life_cycle import LifeCycle
from methods.core.recipe import Phase
from methods.core.sampling import Sampling
from models import ranks
from scenarios import Examples, OutputLayout


@dataclass_transform(field_specifiers=(hyper, field), eq_default=False)
class Method(LifeCycle, Batching, Configured):
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
    sees_past_data: ClassVar[bool] = False
    """Is given the training data of earlier tasks again: an upper bound, not a continual method."""
    own_network: ClassVar[str] = ""
    """The network that it builds where that is not the one of the model settings, in words: `joint` then trains another
    one. {hyperparameter} stands for its value, {model} for the network of the model settings."""
    reads_pixels: ClassVar[bool] = False
    """Uses images for more than the backbone's features of them, so features cannot stand in their place."""
    family: ClassVar[str] = "other"
    """baseline, regularisation, replay, projection, expansion, ..."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        dataclass(eq=False)(cls)
        check_hooks(cls, [name for name in dir(Method) if not name.startswith("_") and callable(getattr(Method, name))])

    # ---- hooks, in the order in which they are called; those about the network are in `life_cycle` --------------

    def begin_task(self, task: TaskView) -> None:
        """Before training on `task`; the network already has the task's output columns."""

    def phases(self, task: TaskView) -> Iterable[Phase]:
        """The training stages of the task, in order."""
        yield self.phase(task.train)

    def observe(self, batch: Batch, optimizer: torch.optim.Optimizer, phase: Phase) -> Tensor:
        """One training step; returns the loss. The template that the finer hooks hang on."""
        step_begins(self.recipe.compile)
        with self.precision(), ranks.divided_batches():
            loss = self.loss(batch) if phase.loss is None else phase.loss(batch)
        step.backward(loss, optimizer, phase, self.scaler)
        self.adjust_gradients(batch)
        step.update(optimizer, phase, self.scaler)
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
        return task_id < self.seen or self.answers_unseen(self.layout)

    def answers_unseen(self, layout: OutputLayout) -> bool:
        """Whether `predict` has answers for tasks of `layout` that it has not begun."""
        return True

    def footprint(self) -> dict[str, int]:
        """Bytes kept between tasks besides the network, by part: of every attribute without an underscore that has
        `nbytes`, as `self.buffer`, `self.teacher` and `self.penalty` do."""
        return {n: v.nbytes for n, v in vars(self).items() if not n.startswith("_") and hasattr(v, "nbytes")}

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

    # ---- what hooks call, beside `batch`, `batches`, `join` and `cross_entropy` -----------------------------------

    def phase(
        self,
        data: Examples,
        parameters: list[nn.Parameter] | None = None,
        loss: Callable[[Batch], Tensor] | None = None,
        name: str = "train",
        augment: bool = True,
        sampling: Sampling | None = None,
        **changes: Any,
    ) -> Phase:
        """A phase over `data` by the task's recipe with `changes` (`Recipe.changed`), e.g. epochs=2, drop_last=False.

        parameters: all that require a gradient where none are given. sampling: the recipe's. `schedule_scale` scales the changed lengths too.
        """
        if parameters is None:
            parameters = [p for p in self.network.parameters() if p.requires_grad]
        sampling = sampling or Sampling(views=self.recipe.repeated_augmentation)
        return Phase(data, self.recipe.changed(**changes).scaled(), parameters, loss, name, augment, sampling)

    def logits(self, batch: Batch) -> Tensor:
        """The network's logits [N, columns so far] for a batch."""
        return self.network(batch.x, batch.tasks)

    def refuse_fp16(self, why: str) -> None:
        """For `build` of a method whose step an overflow breaks; the scaler makes one by itself every 2,000 steps.

        Raises ValueError under fp16.
        """
        if self.mixed_precision == "fp16":
            raise ValueError(
                f"training.precision: {type(self).__name__} cannot train in fp16, {why}; bf16 and fp32 can"
            )

    def compiled(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, a method of a module other than its forward, through torch.compile where the recipe compiles."""
        return compiled(call, self.recipe.compile) if self.recipe.compile else call

    def frozen_copy(self, part: nn.Module | None = None) -> nn.Module:
        """The network, or a part of it, as it is now, in eval mode and without gradients: a teacher."""
        return copy.deepcopy(self.network if part is None else part).eval().requires_grad_(False)
