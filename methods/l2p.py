"""L2P: learning to prompt (Wang et al. 2022)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, hyper
from methods.parts.prompted import Prompted
from models.prompts import cosines, uniform

AtLeastOne = Annotated[int, Field(ge=1)]


class L2P(Prompted):
    """Each image takes the prompts of the top_k keys nearest to its query, by cosine; they stand before its tokens.

    Loss: cross-entropy + strength * sum over chosen keys of (1 - cosine), eq. 5. The query is the image's features without
    prompts, the head reads the mean of what becomes of the prompts.

    Published training: Adam 0.03 for a batch of 256 (`lr_batch`), constant, 5 epochs in batches of 16, gradients clipped to
    a norm of 1. L2P++ of CODA-Prompt's release, which it calls L2P: tuning prefix, pool 30, length 10, matching sum,
    strength 1, low 0, with Adam 0.001, cosine, 20 epochs in batches of 128; "deep" has blocks 5.
    """

    about = "learns a pool of prompts, of which each image takes those with the nearest keys"
    source = "Wang et al. 2022, Learning to prompt for continual learning"

    pool: AtLeastOne = hyper(10, "prompts", "Wang et al. 2022; 30: L2P++ in CODA-Prompt's release")
    length: AtLeastOne = hyper(
        5, "tokens of a prompt", "5: JH-LEE-KR's release, PILOT; 10: the authors' configuration, L2P++"
    )
    top_k: AtLeastOne = hyper(
        5, "prompts of an image", "5: JH-LEE-KR's release, PILOT, L2P++; 4: the authors' configuration"
    )
    strength: Annotated[float, Field(ge=0)] = hyper(
        0.1,
        "weight of the distance to the chosen keys (lambda)",
        "0.1: JH-LEE-KR's release, PILOT; 0.5: Wang et al. 2022; 1: the authors' configuration, L2P++",
    )
    tuning: Literal["prompt", "prefix"] = hyper(
        "prompt",
        "place of prompts: tokens before the image's (\"prompt\"), or keys and values in the first `blocks`, each block with a pool of its own; the head then reads what the backbone's own would",
        "prompt: Wang et al. 2022; prefix: L2P++",
    )
    blocks: AtLeastOne = hyper(1, "blocks with prefixes, from the first", "1, and 5 for deep: L2P++")
    matching: Literal["mean", "sum"] = hyper(
        "mean", "reduction of the distances to keys over the images of a batch", "mean: JH-LEE-KR's release; sum: L2P++"
    )
    low: float = hyper(
        -1.0,
        "lower end of the uniform start of prompts and keys, whose upper end is 1",
        "-1: JH-LEE-KR's release; 0: CODA-Prompt's",
    )

    def _prompts(self, width, tasks):
        if self.top_k > self.pool:
            raise ValueError(f"L2P: top_k: {self.top_k} prompts of an image, of a pool of {self.pool}")
        if self.tuning == "prompt" and self.blocks > 1:
            raise ValueError(f"L2P: blocks: {self.blocks} belongs to tuning: prefix; prompts enter the first block")
        parts = 1 if self.tuning == "prompt" else 2
        return Pool(self.blocks, self.pool, parts, self.length, width, self.low)

    def _deepest(self):
        return self.blocks

    def _prompted(self, x, task=None):
        query = self._query(x)
        prompts, similarity = self.network.prompts(query, self.top_k)
        if self.tuning == "prompt":
            features = self.network.backbone(x, prompts[:, 0, :, 0].flatten(1, 2))
        else:
            prefixes = {b: tuple(prompts[:, b].transpose(1, 2).flatten(2, 3).unbind(1)) for b in range(self.blocks)}
            features = self.network.backbone(x, prefixes=prefixes)
        return features, (1 - similarity).flatten(1).sum(dim=1)

    def loss(self, batch: Batch):
        loss, distances = self._step(batch)
        return loss + self.strength * (distances.mean() if self.matching == "mean" else distances.sum())


class Pool(nn.Module):
    """M prompts of `parts` (tokens; or keys and values), each `length` long, with a key, for each of some blocks."""

    def __init__(self, blocks: int, pool: int, parts: int, length: int, width: int, low: float):
        super().__init__()
        self.prompts = uniform(blocks, pool, parts, length, width, low=low)
        self.keys = uniform(blocks, pool, width, low=low)

    def forward(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Queries [N, d] -> the prompts of the k nearest keys, nearest first, [N, blocks, k, parts, length, d], and their
        cosines [N, blocks, k]."""
        similarity, chosen = cosines(query, self.keys).topk(k, dim=-1)
        block = torch.arange(len(self.keys), device=query.device)[:, None]
        return self.prompts[block, chosen], similarity
