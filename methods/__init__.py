"""Continual-learning methods, one file each."""

from __future__ import annotations

from methods.agem import AGEM
from methods.base import Batch, Method, TaskView, hyper
from methods.bic import BiC
from methods.der_expand import DERExpand
from methods.der_replay import DERReplay
from methods.derpp import DERpp
from methods.dgr import DGR
from methods.dne import DNE
from methods.dytox import DyTox
from methods.er import ER
from methods.ewc import EWC
from methods.finetune import Finetune
from methods.foster import FOSTER
from methods.gdumb import GDumb
from methods.gem import GEM
from methods.generative_classifier import GenerativeClassifier
from methods.icarl import ICaRL
from methods.joint import Joint
from methods.joint_transformer import JointTransformer
from methods.l2 import L2
from methods.lwf import LwF
from methods.mas import MAS
from methods.packnet import PackNet
from methods.pnn import PNN
from methods.podnet import PODNet
from methods.recipe import OptimizerSettings, Phase, Recipe
from methods.rehearsal import Rehearsal
from methods.replay import Replay
from methods.separate import Separate
from methods.si import SI
from methods.ucir import UCIR
from methods.wa import WA
from methods.xdg import XdG
from scenarios.nearest import nearest

METHODS: dict[str, type[Method]] = {
    "finetune": Finetune,
    "joint": Joint,
    "joint-transformer": JointTransformer,
    "ewc": EWC,
    "si": SI,
    "l2": L2,
    "mas": MAS,
    "lwf": LwF,
    "er": ER,
    "der_replay": DERReplay,
    "derpp": DERpp,
    "replay": Replay,
    "icarl": ICaRL,
    "gdumb": GDumb,
    "a-gem": AGEM,
    "gem": GEM,
    "rehearsal": Rehearsal,
    "pnn": PNN,
    "dgr": DGR,
    "generative-classifier": GenerativeClassifier,
    "separate": Separate,
    "xdg": XdG,
    "packnet": PackNet,
    "wa": WA,
    "bic": BiC,
    "ucir": UCIR,
    "podnet": PODNet,
    "der_expand": DERExpand,
    "foster": FOSTER,
    "dytox": DyTox,
    "dne": DNE,
}


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises ValueError with the nearest valid name."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}{nearest(name, METHODS)}")
    return METHODS[name]


__all__ = [
    "AGEM",
    "DGR",
    "DNE",
    "ER",
    "EWC",
    "FOSTER",
    "GEM",
    "L2",
    "MAS",
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
    "DyTox",
    "Finetune",
    "GDumb",
    "GenerativeClassifier",
    "ICaRL",
    "Joint",
    "JointTransformer",
    "LwF",
    "Method",
    "OptimizerSettings",
    "PODNet",
    "PackNet",
    "Phase",
    "Recipe",
    "Rehearsal",
    "Replay",
    "Separate",
    "TaskView",
    "XdG",
    "hyper",
    "method_class",
]
