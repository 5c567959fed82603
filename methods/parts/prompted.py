"""What methods share that learn prompts for a frozen vision transformer, and nothing of the transformer."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from methods.core.method import Batch, Method, hyper
from models import ModelSettings, Network, kind_of, ranks
from models.prompts import PromptedTransformer
from scenarios import Scenario


class Prompted(Method):
    """A head on the features of a frozen transformer with prompts. A subclass gives the prompts and how they are used.

    Which prompts an image gets depends on the image alone, in training and at test. Releases that let a batch vote give
    every image those of the majority; at test, where a batch is of one task, that tells the task.
    """

    about = "the base of prompt methods"
    family = "prompts"
    backbones = ("timm",)
    reads_pixels = True

    compete: Literal["setting", "new"] = hyper(
        "new",
        'classes in the cross-entropy: those active by the "setting", or the "new" task\'s alone',
        "new: all prompt methods and their releases (train_mask)",
    )

    def build(self, scenario: Scenario, model: ModelSettings) -> Network:
        network = self.backbone_and_head(scenario, model)
        network.backbone = PromptedTransformer(network.backbone)
        network.prompts = self._prompts(network.backbone.features, len(scenario.tasks))
        if (blocks := self._deepest()) > network.backbone.depth:
            raise ValueError(
                f"{type(self).__name__} has prefixes in {blocks} blocks, {model.backbone} has {network.backbone.depth}"
            )
        return network

    @classmethod
    def check_backbone(cls, model: ModelSettings) -> None:
        if kind_of(model.backbone) not in cls.backbones:
            raise ValueError(
                f"{cls.__name__} prompts a vision transformer of timm, not {model.backbone}; a method of a suite can have a "
                'network of its own: `model: {backbone: "timm:vit_small_patch14_dinov2"}`'
            )

    def _prompts(self, width: int, tasks: int) -> nn.Module:
        """What is learned besides the head, for tokens of `width`."""
        raise NotImplementedError

    def _deepest(self) -> int:
        """How many blocks from the first on have prefixes, at most."""
        return 0

    def _prompted(self, x: Tensor, task: int | None = None) -> tuple[Tensor, ...]:
        """Features [N, d] of images x with their prompts, and what else the loss wants, a row an image.

        task: of all these images, in training and where the setting tells it.
        """
        raise NotImplementedError

    def _query(self, x: Tensor) -> Tensor:
        """The frozen transformer's own features [N, d] of images: what prompts are chosen by."""
        with torch.no_grad():
            return self.network.backbone(x)

    def _step(self, batch: Batch) -> tuple[Any, ...]:
        """The cross-entropy of a batch, and what else `_prompted` gives of it."""
        features, *rest = ranks.over_ranks(partial(self._prompted, task=self.task.id), batch.x)
        return self.cross_entropy(self.network.classify(features, batch.tasks), batch), *rest

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        return self.network.classify(self._prompted(x, task_id)[0])
