"""Gradient episodic memory (Lopez-Paz & Ranzato 2017)."""

from collections.abc import Iterator
from typing import Annotated

import daqp
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from methods.core.method import Batch, Method, TaskView, hyper
from methods.parts.episodic import EpisodicMemory, Select, Share
from methods.parts.gradients import flat_gradient, gradient_of, set_gradient


class GEM(Method):
    """The gradient is projected so that it raises the loss on no past task's memory (eq. 8, dual eq. 11).

    rehearse: that of Hsu et al. 2018. Their code derives it from naive rehearsal, whose training it keeps, and lets both
    store each task: every selection is a constraint of its own, and the margin counts twice.
    """

    about = "projects the gradient onto those that raise no past task's loss (a quadratic program)"
    source = "Lopez-Paz & Ranzato 2017, Gradient episodic memory for continual learning"
    family = "projection"

    buffer_size: Annotated[int, Field(ge=1)] = hyper(1000, "examples stored in all, an equal share a task")
    margin: Annotated[float, Field(ge=0)] = hyper(
        0.5, "least dual value of a constraint (gamma)", "Lopez-Paz & Ranzato's code"
    )
    select: Select = hyper(
        "last",
        'stored examples of a task: "random" ones, or the "last" as the data set has them (shuffled first where that is class by class)',
        "Lopez-Paz & Ranzato 2017",
    )

    share: Share = hyper(
        "all",
        'a task\'s share of the buffer: the same of "all" tasks, or of those "seen", shrinking with each',
        "all: Lopez-Paz & Ranzato 2017; seen: the code of Hsu et al. 2018",
    )

    ridge: Annotated[float, Field(ge=0)] = hyper(
        0.0,
        "ridge on the diagonal of G G^T: holds back the answer to gradients that are nearly 0",
        "0: eq. 11 as printed; 0.001: Lopez-Paz & Ranzato's code, Hsu et al.'s and mammoth",
    )
    rehearse: bool = hyper(
        False,
        "training on the memory too, mixed into the task's data as naive rehearsal does, with two stored selections per task",
        "no: Lopez-Paz & Ranzato 2017; yes: the code of Hsu et al. 2018",
    )
    added_later = frozenset({"ridge", "rehearse"})

    def build(self, scenario, model):
        self.refuse_fp16("its quadratic program has no answer to an infinite gradient")
        self._selections = 2 if self.rehearse else 1
        n_tasks = self._selections * self.layout.n_tasks
        self.buffer = EpisodicMemory(self.buffer_size, n_tasks, self.select, self.generator("buffer"), self.share)
        self._flops = 0
        return super().build(scenario, model)

    def phases(self, task: TaskView):
        yield self.phase(self.buffer.mixed_with(task.train) if self.rehearse else task.train)

    def begin_task(self, task: TaskView) -> None:
        # normalised once a task: every step passes over the whole memory
        self._past = [self.batch(examples) for examples in self.buffer.tasks]
        size = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        self._constraints = torch.empty(len(self._past), size, device=self.device)

    def adjust_gradients(self, batch: Batch) -> None:
        if not self._past:
            return
        parameters = [p for p in self.parameters if p.requires_grad]
        for old, row in zip(self._past, self._constraints, strict=True):
            gradient_of(super().loss(old), parameters, out=row)
        gradient = flat_gradient(parameters)
        if self.device.type == "cuda":
            projected = project_on_device(gradient, self._constraints, self.margin, self.ridge)
            if projected is not None:
                set_gradient(parameters, projected)
        elif (self._constraints @ gradient < 0).any():
            set_gradient(parameters, project(gradient, self._constraints, self.margin, self.ridge))
            k, n = self._constraints.shape
            self._flops += 2 * k * k * n + 2 * k * n + 2 * k * n  # G G^T, G g, G^T v; the QP itself has k variables

    def end_task(self, task: TaskView) -> None:
        del self._constraints
        for _ in range(self._selections):
            self.buffer.store(task.train)

    def extra_flops(self) -> int:
        flops, self._flops = self._flops, 0
        return flops


def project(gradient: Tensor, constraints: Tensor, margin: float = 0.0, ridge: float = 0.0) -> Tensor:
    """The vector nearest to `gradient` [P] whose product with every row of `constraints` [k, P] is >= 0.

    Solved as the dual, min over v >= margin of 1/2 v^T (G G^T + ridge I) v + (G g)^T v, giving g + G^T v (Lopez-Paz &
    Ranzato 2017, eq. 11-12); a margin > 0 pushes beyond the constraints, as their code does, and a ridge > 0 stops
    short of them. In double precision.
    Raises RuntimeError where the solver finds no solution.
    """
    # In numpy: its products are then counted where they happen (extra_flops), not by the first step's count.
    rows, g = constraints.detach().cpu().numpy(), gradient.detach().cpu().numpy()
    k = len(rows)
    products = np.zeros((k + 1, k + 1))
    for _, part in _doubled(rows, g):
        products += part @ part.T
    weights, projected = np.append(_dual(products, margin, ridge), 1.0), np.empty_like(g)
    for columns, part in _doubled(rows, g):
        projected[columns] = weights @ part
    return torch.from_numpy(projected).to(gradient)


def project_on_device(gradient: Tensor, constraints: Tensor, margin: float = 0.0, ridge: float = 0.0) -> Tensor | None:
    """`project` of vectors on an accelerator; None where no product is negative. The host waits for the products alone.

    Both products whether needed or not: what a step costs must not depend on the data.
    """
    k, vectors = len(constraints), torch.cat([constraints, gradient[None]]).double()
    products = (vectors @ vectors.T).cpu().numpy()
    against = bool((products[:k, k] < 0).any())
    weights = np.append(_dual(products, margin, ridge) if against else np.zeros(k), 1.0)
    projected = torch.from_numpy(weights).to(vectors.device, non_blocking=True) @ vectors
    return projected.to(gradient) if against else None


def _dual(products: np.ndarray, margin: float, ridge: float) -> np.ndarray:
    """v [k] of the dual, from the products [k + 1, k + 1] of the constraints and the gradient, which comes last."""
    k = len(products) - 1
    gram = products[:k, :k] + ridge * np.eye(k)
    scale = np.sqrt(np.maximum(gram.diagonal(), 1e-60))
    # v for rows of unit length is v * scale: the same problem, well scaled. Nearly parallel gradients make the
    # matrix singular; a ridge far below the tolerance keeps it definite.
    hessian = gram / np.outer(scale, scale) + 1e-12 * np.eye(k)
    against = products[:k, k] / scale
    lower, upper = margin * scale, np.full(k, 1e30)
    v, _, status, _ = daqp.solve(
        hessian, against, np.eye(k), upper, lower, np.zeros(k, dtype=np.int32), primal_tol=1e-12, dual_tol=1e-12
    )
    if status < 1:
        raise RuntimeError(f"GEM's quadratic program of {k} constraints failed (daqp status {status})")
    return v / scale


def _doubled(rows: np.ndarray, g: np.ndarray, width: int = 16384) -> Iterator[tuple[slice, np.ndarray]]:
    """(columns, [rows; g] of these columns in double precision), in pieces that a processor's cache holds: whole, the
    copies would cost more than the products. The array given is written over by the next."""
    array = np.empty((len(rows) + 1, width))
    for start in range(0, len(g), width):
        columns = slice(start, min(start + width, len(g)))
        part = array[:, : columns.stop - start]
        part[:-1], part[-1] = rows[:, columns], g[columns]
        yield columns, part
