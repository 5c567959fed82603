"""Replay: every epoch passes over the new data and all exemplars."""

from functools import partial
from typing import Annotated

from pydantic import Field

from methods.core.method import Method, TaskView, hyper
from methods.parts.exemplar_training import exemplar_memory, with_exemplars
from methods.parts.exemplars import Policy, Select
from methods.parts.features import features_of


class Replay(Method):
    """Cross-entropy on the new task's data and a class-balanced memory, concatenated; no distillation."""

    about = "trains on each task's data together with exemplars of all classes before"
    source = "PyCIL's Replay (Zhou et al. 2023, PyCIL: a Python toolbox for class-incremental learning)"
    family = "replay"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(
        2000, "exemplars stored in all, or of each class (policy)", "PyCIL, CIFAR-100"
    )
    policy: Policy = hyper(
        "total", 'exemplars that buffer_size counts: in all ("total") or of each class ("per_class")', "PyCIL"
    )
    select: Select = hyper("herding", "choice of exemplars", "PyCIL")

    def build(self, scenario, model):
        self.buffer = exemplar_memory(self)
        return super().build(scenario, model)

    def phases(self, task: TaskView):
        yield self.phase(with_exemplars(task.train, self.buffer))

    def end_task(self, task: TaskView) -> None:
        self.buffer.update(task.train, partial(features_of, self))
