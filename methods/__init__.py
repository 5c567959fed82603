"""Continual-learning methods, one file each."""

from __future__ import annotations

import difflib

from methods.agem import AGEM
from methods.base import Batch, Method, TaskView, hyper
from methods.bic import BiC
from methods.der_expand import DERExpand
from methods.der_replay import DERReplay
from methods.derpp import DERpp
from methods.er import ER
from methods.ewc import EWC
from methods.finetune import Finetune
from methods.foster import FOSTER
from methods.gdumb import GDumb
from methods.gem import GEM
from methods.icarl import ICaRL
from methods.joint import Joint
from methods.lwf import LwF
from methods.pnn import PNN
from methods.podnet import PODNet
from methods.recipe import OptimizerSettings, Phase, Recipe
from methods.replay import Replay
from methods.si import SI
from methods.ucir import UCIR
from methods.wa import WA

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "joint": Joint,
    "ewc": EWC,
    "si": SI,
    "lwf": LwF,
    "er": ER,
    "der_replay": DERReplay,
    "derpp": DERpp,
    "replay": Replay,
    "icarl": ICaRL,
    "gdumb": GDumb,
    "a-gem": AGEM,
    "gem": GEM,
    "pnn": PNN,
    "wa": WA,
    "bic": BiC,
    "ucir": UCIR,
    "podnet": PODNet,
    "der_expand": DERExpand,
    "foster": FOSTER,
}


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises ValueError with the nearest valid name."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1, cutoff=0.4)
        raise ValueError(f"unknown method {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return METHODS[name]


__all__ = [
    "AGEM",
    "ER",
    "EWC",
    "FOSTER",
    "GEM",
    "METHODS",
    "PNN",
    "SI",
    "UCIR",
    "WA",
    "Batch",
    "BiC",
    "DERExpand",
    "DERReplay",
    "DERpp",
    "Finetune",
    "GDumb",
    "ICaRL",
    "Joint",
    "LwF",
    "Method",
    "OptimizerSettings",
    "PODNet",
    "Phase",
    "Recipe",
    "Replay",
    "TaskView",
    "hyper",
    "method_class",
]
