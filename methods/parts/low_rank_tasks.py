"""What methods share that add a low-rank update of the attention for each task, and a part of the output layer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from methods.core.method import Method, TaskView, hyper
from models import ModelSettings, Network, build_backbone
from models.low_rank import low_rank_layers, with_low_rank
from models.task_heads import TaskHeads
from models.vision_transformer import check_transformer
from scenarios import Scenario


class LowRankTasks(Method):
    """A subclass gives the parts of the attention, and what their updates start from or are kept from."""

    about = "the base of methods with a low-rank update a task"
    family = "low rank"
    backbones = ("timm",)
    reads_pixels = True
    parts: ClassVar[tuple[str, str]]

    rank: Annotated[int, Field(ge=1)] = hyper(10, "rank of an update", "10: InfLoRA and SD-LoRA")
    compete: Literal["setting", "new"] = hyper(
        "new",
        'classes in the cross-entropy: those active by the "setting", or the "new" task\'s alone',
        "new: InfLoRA's release",
    )

    @classmethod
    def check_backbone(cls, model):
        check_transformer(cls.__name__, model)

    def build(self, scenario: Scenario, model: ModelSettings) -> Network:
        backbone = build_backbone(model, scenario.image_shape)  # type: ignore[arg-type]  # EXTRACTORS alone
        features = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
        backbone = with_low_rank(backbone, self.parts, self._magnitudes())
        init = model.head_init  # type: ignore[attr-defined]  # EXTRACTORS have it
        return Network(backbone, TaskHeads(features, self.layout.width(-1), init))

    def _magnitudes(self) -> nn.Parameter | None:
        """What updates are multiplied with, where they are."""
        return None

    @property
    def layers(self) -> list[Any]:
        """The `LowRankQKV` of its network, from the first block on."""
        return low_rank_layers(self.network)

    def grow(self, task: TaskView) -> None:
        super().grow(task)
        for layer in self.layers:
            layer.add(self.rank)
