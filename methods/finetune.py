"""Finetune: train on each task in turn and do nothing about forgetting."""

from typing import Literal

from methods.core.method import Method, hyper


class Finetune(Method):
    """The lower bound."""

    about = "sequential training, no measure against forgetting (lower bound)"
    family = "baseline"

    compete: Literal["setting", "new"] = hyper(
        "setting",
        'classes in the cross-entropy: those active by the "setting", or the "new" task\'s alone',
        "new: PyCIL's finetune",
    )
    added_later = frozenset({"compete"})
