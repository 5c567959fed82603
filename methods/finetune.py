"""Finetune: train on each task in turn and do nothing about forgetting."""

from methods.base import Method


class Finetune(Method):
    """The lower bound."""

    about = "sequential training, no measure against forgetting (lower bound)"
    family = "baseline"
