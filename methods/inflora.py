"""InfLoRA: interference-free low-rank adaptation (Liang & Li 2024)."""

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from methods.core.evaluation import evaluation_mode
from methods.core.method import TaskView, hyper
from methods.parts.low_rank_tasks import LowRankTasks
from scenarios import Examples

Share = Annotated[float, Field(gt=0, le=1)]
SVD_FLOPS = 26
"""Times d^3: a singular value decomposition of a d x d matrix, with all vectors (Golub & Van Loan, table 8.6.1)."""
NOTHING = 1e-10
"""As a share of a matrix's norm: what rounding leaves of nothing."""


class InfLoRA(LowRankTasks):
    """Keys and values get an update up @ down a task; down is fixed, up is trained.

    down's rows span what the new task's inputs have most of outside of what old tasks' inputs have: the first r left
    singular vectors of (I - M) C, C = mean of x x^T over the tokens x that come into the layer, M the projector of old
    tasks' inputs, divided by sqrt(3). So a new update changes nothing for inputs in M. M holds enough of each
    task's C for a share of its energy, the squared singular values, that rises over tasks (DualGPM).

    Published training: Adam 5e-4, cosine, 20 epochs in batches of 128 (CIFAR-100).
    """

    about = "low-rank updates of keys and values in directions that inputs of old tasks do not have"
    source = "Liang & Li 2024, InfLoRA: Interference-free low-rank adaptation for continual learning"
    version = 2
    parts: ClassVar = ("key", "value")

    energy: Share = hyper(
        0.95, "share of the inputs' energy kept from change, in the first task", "Liang & Li 2024, lamb"
    )
    last_energy: Share = hyper(
        1.0, "share of the inputs' energy kept from change after all tasks, which none reaches", "Liang & Li 2024, lame"
    )

    def build(self, scenario, model):
        network = super().build(scenario, model)
        self.memory: GradientMemory | None = None
        self._decompositions = 0
        return network

    def begin_task(self, task: TaskView) -> None:
        moments = input_moments(self, task.train)
        self.memory = self.memory or GradientMemory(moments)
        for layer, free, moment in zip(self.layers, self.memory.free_parts(moments), moments, strict=True):
            rows = directions(free, moment, self.rank)
            for downs in layer.downs.values():
                downs[-1].data.copy_(rows)
                downs[-1].requires_grad_(False)
        self._decompositions = len(moments)

    def end_task(self, task: TaskView) -> None:
        assert self.memory is not None, "begun"
        energy = self.energy + (self.last_energy - self.energy) * task.id / self.layout.n_tasks
        self._decompositions += self.memory.add(input_moments(self, task.train), energy)

    def extra_flops(self) -> int:
        flops = SVD_FLOPS * self.layers[0].qkv.in_features ** 3 * self._decompositions
        self._decompositions = 0
        return flops


@torch.no_grad()
def input_moments(method: LowRankTasks, examples: Examples) -> list[Tensor]:
    """Mean of x x^T over the tokens x of `examples` that come into each layer: [d, d], double, from the first block on."""
    layers = method.layers
    sums = [torch.zeros((layer.qkv.in_features,) * 2, dtype=torch.float64, device=method.device) for layer in layers]
    tokens = [0] * len(layers)

    def watch(index: int):
        def add(module: object, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].flatten(0, 1)
            sums[index] += (rows.T @ rows).double()
            tokens[index] += len(rows)

        return add

    hooks = [layer.register_forward_pre_hook(watch(k)) for k, layer in enumerate(layers)]
    try:
        with evaluation_mode(method.network):
            for batch in method.batches(examples, mixed_precision=False):
                method.network.backbone(batch.x)
    finally:
        for hook in hooks:
            hook.remove()
    return [total / max(1, n) for total, n in zip(sums, tokens, strict=True)]


def directions(free: Tensor, moment: Tensor, rank: int) -> Tensor:
    """The rows [rank, d] of a fixed down matrix: what `free`, the part of `moment` outside of old inputs, has most of.

    Rows are 0 where nothing is left outside: any direction would be one of old inputs.
    """
    vectors, values, _ = torch.linalg.svd(free)
    vectors = vectors * (values > NOTHING * moment.norm())
    return vectors[:, :rank].T / math.sqrt(3)


class GradientMemory:
    """DualGPM (Liang & Li 2023): of each layer an orthonormal basis [d, k] of the span of old tasks' inputs.

    Where that is more than half of all directions the basis is of the rest, `outside` of it.
    """

    def __init__(self, moments: list[Tensor]):
        self.bases = [m.new_zeros(len(m), 0) for m in moments]
        self.outside = [False] * len(moments)

    def free_parts(self, moments: list[Tensor]) -> list[Tensor]:
        """Of each moment [d, d] what is outside of old tasks' inputs."""
        return [self._free(k, m) for k, m in enumerate(moments)]

    def _free(self, k: int, moment: Tensor) -> Tensor:
        inside = self.bases[k] @ (self.bases[k].T @ moment)
        return inside if self.outside[k] else moment - inside

    def add(self, moments: list[Tensor], energy: float) -> int:
        """Takes in inputs of a task, so that a share `energy` of theirs is kept; returns the number of decompositions."""
        first = all(not basis.shape[1] for basis in self.bases) and not any(self.outside)
        for k, moment in enumerate(moments):
            free = self._free(k, moment)
            vectors, values, _ = torch.linalg.svd(free)
            shares = values.square() / moment.square().sum()
            if first:
                # the release leaves out the vector that crosses the bound, here and in no later task
                self.bases[k] = vectors[:, : max(1, int((shares.cumsum(0) < energy).sum()))]
            elif self.outside[k]:
                self._take_from_rest(k, vectors, int((shares.sum() - shares.cumsum(0) + shares >= 1 - energy).sum()))
            else:
                missing = int((1 - shares.sum() + shares.cumsum(0) - shares < energy).sum())
                self.bases[k] = torch.cat([self.bases[k], vectors[:, :missing]], dim=1)
            self._turn(k)
        return len(moments)

    def _take_from_rest(self, k: int, vectors: Tensor, n: int) -> None:
        basis, taken = self.bases[k], vectors[:, :n]
        left = torch.linalg.svd(basis - taken @ (taken.T @ basis))[0]
        self.bases[k] = left[:, : max(0, basis.shape[1] - n)]

    def _turn(self, k: int) -> None:
        """Keeps the smaller of the two sides."""
        basis = self.bases[k]
        if not self.outside[k] and basis.shape[1] > len(basis) / 2:
            self.bases[k], self.outside[k] = torch.linalg.svd(basis)[0][:, basis.shape[1] :], True

    @property
    def nbytes(self) -> int:
        return sum(basis.nbytes for basis in self.bases)
