"""Task-, domain- and class-incremental: the only code that tells the three settings apart.

A setting decides which output column a label gets, how many columns there are, and which classes are active in
training and at test. Everything else asks an `OutputLayout` and never the setting's name
(van de Ven, Tuytelaars & Tolias 2022, "Three types of incremental learning").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from scenarios.active import ALL, ActiveClasses
from scenarios.nearest import nearest

ActiveOutputs = Literal["seen", "all", "task"]


@dataclass(frozen=True)
class Setting:
    """What differs between the settings.

    shared_labels: every task uses the same output columns; task_id_at_test: `predict` is told the task;
    heads: the output layers that fit, the default first.
    """

    name: str
    shared_labels: bool
    task_id_at_test: bool
    heads: tuple[str, ...]
    about: str


SETTINGS = {
    "task": Setting("task", False, True, ("multi", "masked"), "the task id is known at test"),
    "domain": Setting("domain", True, False, ("shared",), "the same labels in every task, task id unknown at test"),
    "class": Setting(
        "class", False, False, ("growing", "masked"), "all classes seen so far compete, task id unknown at test"
    ),
}

HEADS = {
    "multi": "one layer a task, chosen by the task id",
    "masked": "one layer over all tasks from the start, of which only the active columns compete",
    "growing": "one layer that gains columns with every task and keeps the old ones",
    "shared": "one layer of fixed size used by every task",
}


@dataclass(frozen=True)
class OutputLayout:
    """The output columns of a scenario and which of them are active when.

    columns[t] is the slice of task t; n_outputs the number of all columns. `active_outputs` says, for the
    class-incremental setting, which classes are active in training: those "seen" so far, "all" from the start, or
    only those of an example's own "task" (the labels trick). `whole`: every column exists from the start, so that
    optimizers and penalties reach those of tasks to come, active or not.
    """

    setting: Setting
    columns: tuple[slice, ...]
    active_outputs: ActiveOutputs = "seen"
    whole: bool = False

    def with_head(self, head: str) -> OutputLayout:
        """This layout under an output layer of that name ("auto": the setting's own). Raises ValueError where they do not go
        together."""
        return replace(self, whole=resolve_head(self, head) == "masked")

    @property
    def n_outputs(self) -> int:
        return max(c.stop for c in self.columns)

    @property
    def n_tasks(self) -> int:
        return len(self.columns)

    def width(self, task: int) -> int:
        """Columns that exist while task `task` is learned (-1: before the first)."""
        if self.setting.shared_labels or self.setting.task_id_at_test or self.whole or self.active_outputs == "all":
            return self.n_outputs
        return self.columns[task].stop if task >= 0 else 0

    def active_in_training(self, tasks: int | Tensor, seen: int) -> ActiveClasses:
        """Classes over which the loss of examples from `tasks` (one id, or int64 [N]) is taken, `seen` tasks begun.

        Of one task they are the same for all examples.
        """
        if self.setting.shared_labels:
            return ALL
        if not self.setting.task_id_at_test and self.active_outputs != "task":
            if self.whole and self.active_outputs == "seen":
                return ActiveClasses(slice(0, self.columns[seen - 1].stop))
            return ALL  # every column that exists: the head has grown to what is seen, or is whole from the start
        if isinstance(tasks, int):
            return ActiveClasses(self.columns[tasks])
        return ActiveClasses(mask=self._table(tasks.device)[tasks])

    def active_at_test(self, task: int, seen: int) -> ActiveClasses:
        """Classes among which test examples of `task` are answered after `seen` tasks."""
        if self.setting.shared_labels or self.setting.task_id_at_test:
            return ActiveClasses(self.columns[task])
        return ActiveClasses(slice(0, self.columns[seen - 1].stop))

    def can_evaluate(self, task: int, seen: int) -> bool:
        """Whether a correct answer exists for `task` after `seen` tasks: its classes have columns."""
        return self.setting.shared_labels or self.setting.task_id_at_test or task < seen

    def other_view(self, task: int, seen: int) -> ActiveClasses | None:
        """The active classes of the other reading of the same logits, None where there is no other.

        Class-incremental logits masked to the task's own columns are one meaning of "task-incremental";
        multi-head logits left unmasked over the tasks seen are the other way round.
        """
        if self.setting.shared_labels or task >= seen:
            return None
        if self.setting.task_id_at_test:
            return ActiveClasses(slice(0, self.columns[seen - 1].stop))
        return ActiveClasses(self.columns[task])

    @property
    def other_view_name(self) -> Literal["masked", "unmasked"] | None:
        if self.setting.shared_labels:
            return None
        return "unmasked" if self.setting.task_id_at_test else "masked"

    def past_groups(self, task: int) -> list[slice]:
        """Groups of columns, each a probability distribution, that tasks before `task` have trained.

        Group k is trained among `active_in_training(k, seen)`.
        """
        if task == 0:
            return []
        if self.setting.shared_labels:
            return [self.columns[0]]
        if self.setting.task_id_at_test or self.active_outputs == "task":
            return list(self.columns[:task])
        if self.active_outputs == "all":
            return [slice(0, self.n_outputs)]
        return [slice(0, self.columns[task - 1].stop)]

    def new_columns(self, task: int) -> slice:
        """The columns that task `task` is the first to have; empty where earlier tasks have them all."""
        columns = self.columns[task]
        return slice(columns.stop, columns.stop) if self.setting.shared_labels and task > 0 else columns

    def rivals(self, task: int) -> slice:
        """Columns of earlier tasks that are active at test beside the new ones of `task`; empty where none are."""
        if self.new_columns(task) == slice(self.columns[task].stop, self.columns[task].stop):
            return slice(0, 0)
        return slice(self.active_at_test(task, task + 1).start, self.columns[task].start)

    def share_of_old(self, task: int) -> float:
        """Classes learned before `task` as a part of those learned with it; shared ones count once a task."""
        sizes = [c.stop - c.start for c in self.columns[: task + 1]]
        return 1 - sizes[-1] / sum(sizes)

    def forward_transfer_reason(self) -> str | None:
        """Why forward transfer means nothing here, None where it does."""
        if self.setting.shared_labels or self.setting.task_id_at_test:
            return None
        return "class-incremental: a class not yet seen has no output, so zero-shot accuracy is 0 by construction"

    def _table(self, device: torch.device) -> Tensor:
        table = torch.zeros(self.n_tasks, self.n_outputs, dtype=torch.bool, device=device)
        for task, columns in enumerate(self.columns):
            table[task, columns] = True
        return table


def layout_for(setting: str, classes_per_task: list[int], active_outputs: ActiveOutputs = "seen") -> OutputLayout:
    """The output layout of a stream whose tasks have `classes_per_task` classes.

    Raises ValueError for an unknown setting, or where tasks that should share labels differ in size.
    """
    if setting not in SETTINGS:
        raise ValueError(f"unknown setting {setting!r}{nearest(setting, SETTINGS)}")
    kind = SETTINGS[setting]
    if kind.shared_labels:
        if len(set(classes_per_task)) != 1:
            raise ValueError(f"domain-incremental tasks need equally many classes, got {classes_per_task}")
        return OutputLayout(kind, (slice(0, classes_per_task[0]),) * len(classes_per_task))
    stops = [sum(classes_per_task[: i + 1]) for i in range(len(classes_per_task))]
    columns = tuple(slice(stop - n, stop) for stop, n in zip(stops, classes_per_task, strict=True))
    return OutputLayout(kind, columns, active_outputs)


def resolve_head(layout: OutputLayout, head: str) -> str:
    """The head to build: `head`, or the setting's default for "auto".

    Raises ValueError that says why where head and setting do not go together, and what to use.
    """
    allowed = layout.setting.heads
    if head == "auto":
        return allowed[0]
    if head not in HEADS:
        raise ValueError(f"unknown head {head!r}{nearest(head, ['auto', *HEADS])}")
    if head not in allowed:
        raise ValueError(
            f"head {head!r} ({HEADS[head]}) does not fit the {layout.setting.name}-incremental setting "
            f"({layout.setting.about}); use {' or '.join(repr(h) for h in allowed)}"
        )
    return head
