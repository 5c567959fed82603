"""First-session adaptation: a pretrained backbone is tuned on the first task and fixed from then on."""

from __future__ import annotations

import copy
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from methods.core.method import TaskView, hyper
from methods.parts.feature_head import OnFrozenFeatures
from models import Frozen, ModelSettings, Network, build_backbone
from models.adapters import AdaptedTransformer, with_prompts, with_scale_and_shift
from models.cosine_heads import CosineHead
from models.parallel import ParallelBackbones
from scenarios import Scenario

Tuning = Literal["adapter", "ssf", "vpt-deep", "vpt-shallow", "finetune"]
"""What of a backbone is trained: adapters, scales and shifts, prompts before every block or the first, all of it."""


class FirstSession(OnFrozenFeatures):
    """In the first task the backbone is tuned under a cosine head, which is then thrown away; the head of all tasks is
    computed from the features of the tuned backbone. A subclass says how it is tuned."""

    about = "the base of methods that tune the backbone on the first task"
    beside_plain = False
    """The untuned backbone's features stand before the tuned one's."""

    bottleneck: Annotated[int, Field(ge=1)] = hyper(
        64, "width of an adapter", "Zhou et al. 2024, McDonnell et al. 2023"
    )
    prompts: Annotated[int, Field(ge=1)] = hyper(5, "tokens of vpt", "the releases of both")

    def _tuning(self) -> Tuning | None:
        """What of the backbone is trained; None: nothing is, it stays as it came."""
        raise NotImplementedError

    def build(self, scenario: Scenario, model: ModelSettings) -> Network:
        if (tuning := self._tuning()) is None:
            return super().build(scenario, model)
        backbone = build_backbone(model, scenario.image_shape)  # type: ignore[arg-type]
        plain = Frozen(copy.deepcopy(backbone)) if self.beside_plain else None
        backbone = tuned(backbone, tuning, self.bottleneck, self.prompts)
        network = Network(backbone, CosineHead(int(backbone.features), self.layout.width(-1)))  # type: ignore[arg-type]
        network.plain = plain  # type: ignore[assignment]
        return network

    def phases(self, task: TaskView):
        self._trained = 0
        if isinstance(self.network.head, CosineHead):
            self._trained = sum(p.numel() for p in self.network.backbone.parameters() if p.requires_grad)
            yield self.phase(task.train)

    def end_task(self, task: TaskView) -> None:
        self._end_first_session()
        super().end_task(task)

    def parameters_report(self) -> dict[str, int]:
        """The trainable ones are those of the task: none but in the first."""
        total = super().parameters_report()["total"]
        return {"total": total, "frozen": total - self._trained, "trainable": self._trained}

    def _end_first_session(self) -> None:
        """Fixes a backbone that was being tuned, and puts the method's own head in place of the one it was tuned under."""
        if not isinstance(self.network.head, CosineHead):
            return
        network, columns = self.network, self.network.head.n_outputs
        parts = [network.backbone] if network.plain is None else [network.plain, network.backbone]
        network.plain = None
        network.backbone = Frozen(ParallelBackbones(parts) if len(parts) > 1 else parts[0])
        network.head = self._head(network.backbone.features, columns).to(self.device)


def tuned(backbone: nn.Module, how: Tuning, bottleneck: int, prompts: int) -> nn.Module:
    """`backbone` with what is trained in it. Raises ValueError for a kind of backbone that has no place for it."""
    if how == "finetune":
        if isinstance(backbone, Frozen):
            raise ValueError(
                "tuning: finetune trains the backbone, which model.frozen: true forbids; use frozen: false"
            )
        return backbone
    features = int(backbone.features)  # type: ignore[arg-type]  # every backbone has it
    if how == "adapter":
        adapted = AdaptedTransformer(backbone, bottleneck)
        adapted.add()
        return adapted
    opened = with_scale_and_shift(backbone) if how == "ssf" else with_prompts(backbone, prompts, how == "vpt-deep")
    opened.features = features  # type: ignore[assignment]
    return opened
