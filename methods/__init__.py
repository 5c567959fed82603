"""Continual-learning methods, one file each.

`from methods import ER` gives a method's class, `METHODS["er"]` and `method_class("er")` too.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from methods.core.batch import Batch, TaskView
from methods.core.hyperparameters import hyper
from methods.core.method import Method
from methods.core.recipe import OptimizerSettings, Phase, Recipe
from scenarios.nearest import nearest

WHERE = {
    "finetune": "finetune.Finetune",
    "joint": "joint.Joint",
    "ewc": "ewc.EWC",
    "si": "si.SI",
    "l2": "l2.L2",
    "mas": "mas.MAS",
    "lwf": "lwf.LwF",
    "er": "er.ER",
    "der_replay": "der_replay.DERReplay",
    "derpp": "derpp.DERpp",
    "replay": "replay.Replay",
    "icarl": "icarl.ICaRL",
    "gdumb": "gdumb.GDumb",
    "a-gem": "agem.AGEM",
    "gem": "gem.GEM",
    "rehearsal": "rehearsal.Rehearsal",
    "pnn": "pnn.PNN",
    "dgr": "dgr.DGR",
    "generative-classifier": "generative_classifier.GenerativeClassifier",
    "separate": "separate.Separate",
    "xdg": "xdg.XdG",
    "packnet": "packnet.PackNet",
    "wa": "wa.WA",
    "bic": "bic.BiC",
    "ucir": "ucir.UCIR",
    "podnet": "podnet.PODNet",
    "der_expand": "der_expand.DERExpand",
    "foster": "foster.FOSTER",
    "dytox": "dytox.DyTox",
    "dne": "dne.DNE",
    "linear-probe": "linear_probe.LinearProbe",
    "ncm": "ncm.NCM",
    "knn": "knn.KNN",
    "slda": "slda.SLDA",
    "fecam": "fecam.FeCAM",
    "ranpac": "ranpac.RanPAC",
}
"""Every method by its name in suites: the file and the class in it. A method is added by a line here."""


def _load(where: str) -> type[Method]:
    module, _, name = where.partition(".")
    return getattr(import_module(f"methods.{module}"), name)


METHODS: dict[str, type[Method]] = {name: _load(where) for name, where in WHERE.items()}
_CLASSES = {cls.__name__: cls for cls in METHODS.values()}


def __getattr__(name: str) -> Any:
    """The class of a method by its own name."""
    if name in _CLASSES:
        return _CLASSES[name]
    raise AttributeError(f"module 'methods' has no attribute {name!r}")


def method_class(name: str) -> type[Method]:
    """The class of a method by name. Raises ValueError with the nearest valid name."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}{nearest(name, METHODS)}")
    return METHODS[name]


__all__ = [
    "METHODS",
    "Batch",
    "Method",
    "OptimizerSettings",
    "Phase",
    "Recipe",
    "TaskView",
    "hyper",
    "method_class",
]
