"""CODA-Prompt: continual decomposed attention-based prompting (Smith et al. 2023)."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, TaskView, hyper
from methods.parts.prompted import Prompted
from models.prompts import Prefixes


class CODAPrompt(Prompted):
    """An image's prompt is a sum of components, weighted by the cosine of its query, times an attention, with their keys.

    p = sum over m of cos(q * A_m, K_m) P_m, a prefix of keys and values in each of the first blocks. Each task adds
    an equal share of the pool's components; those of earlier tasks are used on and no longer trained. New ones start
    orthogonal (Gram-Schmidt); `ortho` weighs a penalty that keeps them so.

    Published training: Adam 0.001, cosine, 20 epochs (CIFAR-100; 50: ImageNet-R) in batches of 128.
    """

    about = "learns components of prompts, weighted for each image by attention to their keys"
    source = "Smith et al. 2023, CODA-Prompt: COntinual Decomposed Attention-based prompting for rehearsal-free continual learning"
    version = 2

    pool: Annotated[int, Field(ge=1)] = hyper(100, "components over all tasks", "Smith et al. 2023")
    length: Annotated[int, Field(ge=1)] = hyper(
        4, "length of a prompt: as many keys, and values", "Smith et al. 2023, whose length of 8 counts both"
    )
    blocks: Annotated[int, Field(ge=1)] = hyper(5, "blocks with prefixes, from the first", "Smith et al. 2023")
    ortho: Annotated[float, Field(ge=0)] = hyper(
        0.0,
        "weight of the penalty on what is not orthogonal (lambda)",
        "0: the release's settings for CIFAR-100; 1e-7: those of an earlier state (22948d2)",
    )

    def _prompts(self, width, tasks):
        if self.pool < tasks:
            raise ValueError(f"CODAPrompt: pool: {self.pool} components are less than one for each of {tasks} tasks")
        if self.pool > width:
            raise ValueError(
                f"CODAPrompt: pool: {self.pool} components cannot be orthogonal in {width} dimensions; at most {width}"
            )
        return Components(tasks, self.pool // tasks, self.blocks, self.length, width)

    def _deepest(self):
        return self.blocks

    def grow(self, task: TaskView) -> None:
        super().grow(task)
        self.network.prompts.begin(task.id)

    def _prompted(self, x, task=None):
        prefixes = self.network.prompts(self._query(x), max(self.seen, 1))
        return (self.network.backbone(x, prefixes=prefixes),)

    def loss(self, batch: Batch):
        (loss,) = self._step(batch)
        return loss + self.ortho * self.network.prompts.penalty(self.seen) if self.ortho else loss


class Components(nn.Module):
    """Of each task: prompts P [blocks, m, 2 length, d], keys K and attentions A [blocks, m, d]; 0 until the task begins.

    A task's are parameters of their own: what gets no gradient is left alone by every optimizer.
    """

    def __init__(self, tasks: int, m: int, blocks: int, length: int, width: int):
        super().__init__()
        self.prompts = nn.ParameterList(torch.zeros(blocks, m, 2 * length, width) for _ in range(tasks))
        self.keys = nn.ParameterList(torch.zeros(blocks, m, width) for _ in range(tasks))
        self.attentions = nn.ParameterList(torch.zeros(blocks, m, width) for _ in range(tasks))

    @torch.no_grad()
    def begin(self, task: int) -> None:
        """Starts the components of `task`, each orthogonal to those before it."""
        for kind in (self.prompts, self.keys, self.attentions):
            for block, new in enumerate(kind[task]):
                old = torch.cat([kind[t][block] for t in range(task)]) if task else new[:0]
                new.copy_(orthogonal(old.flatten(1), torch.randn(new.shape).flatten(1).to(new)).view_as(new))

    def so_far(self, kind: nn.ParameterList, tasks: int) -> Tensor:
        """All components of the first `tasks` tasks, [blocks, M, ...], the last task's alone with a gradient."""
        return torch.cat([*(old.detach() for old in list(kind)[: tasks - 1]), kind[tasks - 1]], dim=1)

    def forward(self, query: Tensor, tasks: int) -> Prefixes:
        """Prefixes of images with these queries [N, d], of the components of the first `tasks` tasks."""
        prompts, keys, attentions = (self.so_far(k, tasks) for k in (self.prompts, self.keys, self.attentions))
        weights = attended(query, keys, attentions)  # [N, blocks, M]
        summed = torch.einsum("nbm,bmld->bnld", weights, prompts)
        return {block: tuple(prefix.chunk(2, dim=1)) for block, prefix in enumerate(summed)}

    def penalty(self, tasks: int) -> Tensor:
        """Sum over blocks and over prompts, keys and attentions of the mean of (B B^T - I)^2, as in the release."""
        total = torch.zeros((), device=self.keys[0].device)
        for kind in (self.prompts, self.keys, self.attentions):
            b = self.so_far(kind, tasks).flatten(2)
            total = total + (b @ b.mT - torch.eye(b.shape[1], device=b.device)).square().mean(dim=(1, 2)).sum()
        return total


def attended(query: Tensor, keys: Tensor, attentions: Tensor) -> Tensor:
    """cos(q * A_m, K_m) for queries [N, d] and keys and attentions [blocks, M, d]: [N, blocks, M].

    As two products, without the [N, blocks, M, d] of q * A.
    """
    query = query.to(keys.dtype)
    products = torch.einsum("nd,bmd->nbm", query, attentions * F.normalize(keys, dim=-1))
    squares = torch.einsum("nd,bmd->nbm", query.square(), attentions.square())
    return products / squares.clamp(min=1e-24).sqrt()


def orthogonal(old: Tensor, drawn: Tensor) -> Tensor:
    """`drawn` [m, d], each less its projections on `old` [M, d] and on those before it, at length 1 in the end.

    As in the release: projections are of what was drawn, and old components, once trained, are not orthogonal to each
    other, so that new ones are not orthogonal to them either.
    """
    for row in drawn:
        shares = (old @ row) / old.square().sum(dim=1)
        old = torch.cat([old, (row - shares @ old).unsqueeze(0)])
    return F.normalize(old[len(old) - len(drawn) :], dim=1)
