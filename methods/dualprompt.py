"""DualPrompt: complementary prompts (Wang et al. 2022)."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, hyper
from methods.parts.prompted import Prompted
from models.prompts import Prefixes, cosines, uniform

AtLeastOne = Annotated[int, Field(ge=1)]


class DualPrompt(Prompted):
    """A general prompt for all tasks in the first blocks, an expert prompt and a key for each task in those that follow.

    All are prefixes of keys and values. In training an image has its task's expert prompt; at test, where no task is
    told, the one whose key is nearest to its query, of the tasks seen so far. Loss: cross-entropy + strength *
    (1 - cosine of query and the task's key). The query is the image's features without prompts.

    Published training: Adam 0.03 for a batch of 256 (`lr_batch`), constant, 5 epochs in batches of 24 on CIFAR-100, gradients
    clipped to a norm of 1; 0.005, 50 epochs and expert_length 20 on ImageNet-R. In CODA-Prompt's release: general_length 3,
    expert_length 10, keys block, matching sum, low 0, with Adam 0.001, cosine, 20 epochs in batches of 128.
    """

    about = "learns a general prompt, and an expert prompt a task, which an image finds by its key"
    source = "Wang et al. 2022, DualPrompt: Complementary prompting for rehearsal-free continual learning"

    general_blocks: Annotated[int, Field(ge=0)] = hyper(
        2, "blocks with the general prompt, from the first", "Wang et al. 2022"
    )
    expert_blocks: AtLeastOne = hyper(3, "blocks with expert prompts, after those", "Wang et al. 2022")
    general_length: AtLeastOne = hyper(
        5, "length of the general prompt: as many keys, and values", "5: Wang et al. 2022; 3: CODA-Prompt's release"
    )
    expert_length: AtLeastOne = hyper(
        5,
        "length of an expert prompt: as many keys, and values",
        "5: the authors' configuration for CIFAR-100, JH-LEE-KR's release; 20: for ImageNet-R; 10: CODA-Prompt's release",
    )
    strength: Annotated[float, Field(ge=0)] = hyper(
        1.0, "weight of the distance to the task's key (lambda)", "Wang et al. 2022"
    )
    keys: Literal["shared", "block"] = hyper(
        "shared",
        "a task's key: one that all blocks share, or one a block, which then chooses by itself",
        "shared: Wang et al. 2022; block: CODA-Prompt's release",
    )
    matching: Literal["mean", "sum"] = hyper(
        "mean",
        "reduction of the distances to keys over the images of a batch",
        "mean: JH-LEE-KR's release; sum: CODA-Prompt's release",
    )
    low: float = hyper(
        -1.0,
        "lower end of the uniform start of prompts and keys, whose upper end is 1",
        "-1: JH-LEE-KR's release; 0: CODA-Prompt's",
    )

    def _prompts(self, width, tasks):
        general = uniform(self.general_blocks, 2, self.general_length, width, low=self.low)
        return Complementary(
            general, tasks, self.expert_blocks, self.expert_length, width, self.keys == "shared", self.low
        )

    def _deepest(self):
        return self.general_blocks + self.expert_blocks

    def _prompted(self, x, task=None):
        prompts, candidates = self.network.prompts, range(max(self.seen, 1)) if task is None else (task,)
        similarity, chosen = cosines(self._query(x), prompts.keys(candidates)).max(dim=-1)
        features = self.network.backbone(x, prefixes=prompts(candidates, chosen))
        return features, (1 - similarity).sum(dim=1)

    def loss(self, batch: Batch):
        loss, distances = self._step(batch)
        return loss + self.strength * (distances.mean() if self.matching == "mean" else distances.sum())


class Complementary(nn.Module):
    """The general prompt [blocks, 2, length, d]; of each task an expert prompt [blocks, 2, length, d] and keys [1 or
    blocks, d]. A task's are parameters of their own: what gets no gradient is left alone by every optimizer."""

    def __init__(
        self, general: nn.Parameter, tasks: int, blocks: int, length: int, width: int, shared: bool, low: float
    ):
        super().__init__()
        self.general = general
        self.experts = nn.ParameterList(uniform(blocks, 2, length, width, low=low) for _ in range(tasks))
        self.expert_keys = nn.ParameterList(uniform(1 if shared else blocks, width, low=low) for _ in range(tasks))

    def keys(self, tasks: Sequence[int]) -> Tensor:
        """Of these tasks: [1 or blocks, tasks, d]."""
        return torch.stack([self.expert_keys[task] for task in tasks], dim=1)

    def forward(self, tasks: Sequence[int], chosen: Tensor) -> Prefixes:
        """Prefixes of n images, each with the expert prompt that `chosen` [n, 1 or blocks] says, as a place in `tasks`."""
        block = torch.arange(len(self.experts[0]), device=chosen.device)
        experts = torch.stack([self.experts[task] for task in tasks])[chosen, block]  # [n, blocks, 2, length, d]
        general = self.general.expand(len(chosen), -1, -1, -1, -1)
        return {b: tuple(p.unbind(1)) for b, p in enumerate([*general.unbind(1), *experts.unbind(1)])}  # type: ignore[misc]
