"""Continual-learning methods, one file each.

`from methods import ER` gives a method's class, `METHODS["er"]` and `method_class("er")` too.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from scenarios.lazy import LazyClasses, offers
from scenarios.nearest import nearest

if TYPE_CHECKING:
    from methods.core.batch import Batch, TaskView
    from methods.core.hyperparameters import hyper
    from methods.core.method import Method
    from methods.core.recipe import OptimizerSettings, Phase, Recipe
    from methods.parts.own_loop import OwnLoop

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
    "aper": "aper.APER",
    "ease": "ease.EASE",
    "slca": "slca.SLCA",
    "inflora": "inflora.InfLoRA",
    "sd-lora": "sdlora.SDLoRA",
    "l2p": "l2p.L2P",
    "dualprompt": "dualprompt.DualPrompt",
    "coda-prompt": "coda_prompt.CODAPrompt",
}
"""Every method by its name in suites: the file and the class in it. A method is added by a line here."""


METHODS: MutableMapping[str, type[Method]] = LazyClasses("methods", WHERE)
_NAMES = {where.partition(".")[2]: name for name, where in WHERE.items()}
_offered = offers(__name__, __file__)


def __getattr__(name: str) -> Any:
    """What the package offers, and the class of a method by its own name."""
    return METHODS[_NAMES[name]] if name in _NAMES else _offered(name)


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
    "OwnLoop",
    "Phase",
    "Recipe",
    "TaskView",
    "hyper",
    "method_class",
]
