"""Continual-learning methods, one file each."""

from __future__ import annotations

import difflib

from methods.agem import AGEM
from methods.base import Batch, Method, TaskView, hyper
from methods.dne import DNE
from methods.dytox import DyTox
from methods.er import ER
from methods.ewc import EWC
from methods.finetune import Finetune
from methods.gem import GEM
from methods.joint import Joint
from methods.lwf import LwF
from methods.pnn import PNN
from methods.recipe import OptimizerSettings, Phase, Recipe
from methods.si import SI

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "joint": Joint,
    "ewc": EWC,
    "si": SI,
    "lwf": LwF,
    "er": ER,
    "a-gem": AGEM,
    "gem": GEM,
    "pnn": PNN,
    "dytox": DyTox,
    "dne": DNE,
}


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises ValueError with the nearest valid name."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.4)
        raise ValueError(f"unknown method {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return METHODS[name]


__all__ = [
    "AGEM",
    "DNE",
    "ER",
    "EWC",
    "GEM",
    "METHODS",
    "PNN",
    "SI",
    "Batch",
    "DyTox",
    "Finetune",
    "Joint",
    "LwF",
    "Method",
    "OptimizerSettings",
    "Phase",
    "Recipe",
    "TaskView",
    "hyper",
    "method_class",
]
