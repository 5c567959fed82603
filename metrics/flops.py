"""Counting floating point operations: exact, by what really runs, 2 per multiply-add.

Formulas are those of `torch.utils.flop_counter`, and totals equal its FlopCounterMode but for what that
leaves out (products with a vector, distances, fused inference kernels) or overstates (the backward pass of
grouped convolutions). Counted are products: linear layers, convolutions, attention, matrix products in losses
and distances. Elementwise operations, normalisation, pooling, sorting and matrix factorisations cost nothing
here. What `torch.compile` has compiled runs eagerly while it is counted; code inside a CUDA graph is not seen.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Result = TypeVar("Result")


@dataclass(frozen=True)
class Flops:
    """Floating point operations, 2 per multiply-add.

    total: all products.
    modules: those of a weight with an activation, as a counter of Linear and Conv modules (thop) sees them.
    Products of two activations, such as attention's, are left out; the FLOPs of transformers in Hu et al.
    2023 (DNE) are of this kind. Meant for forward passes: of the products in a backward pass only those that
    yield gradients of activations have a weight as a factor.
    """

    total: int
    modules: int


def count_flops(fn: Callable[..., Any], *args: Any, weights: Iterable[Tensor] = ()) -> Flops:
    """FLOPs of one call `fn(*args)`, backward passes and torch.func transforms inside it included.

    fn runs as it is: for inference pass a module in eval mode and call this under torch.no_grad(); a batch of
    one gives FLOPs per sample. `weights`: tensors to count as weights for `modules`. A module's parameters
    and buffers (masks) and any nn.Parameter need not be named; weights held as plain tensors must be.
    Raises NotImplementedError where a fused operation hides products that no formula counts.
    """
    own = [*fn.parameters(), *fn.buffers()] if isinstance(fn, nn.Module) else []
    # A cast copy of a weight cached by autocast before the count would not be recognised as that weight.
    torch.clear_autocast_cache()
    with _counting([*own, *weights]) as counter:
        fn(*args)
    return Flops(counter.total, counter.modules)


class FlopMeter:
    """Adds up the FLOPs of a run by part ("training", "evaluation", "exemplar selection", ...).

    Counting slows a step several times, so each kind of step is counted once and multiplied: `measure` counts
    the first call with a key, and on later calls adds the remembered count while fn runs plainly. The key
    must therefore hold everything the cost depends on: the phase, the shapes of the batch, whether a replay
    batch came along.
    """

    def __init__(self) -> None:
        self.parts: dict[str, int] = {}
        self._counted: dict[tuple[str, Hashable], int] = {}
        self._measuring = False

    @property
    def total(self) -> int:
        """FLOPs of all parts."""
        return sum(self.parts.values())

    def measure(self, key: Hashable, fn: Callable[[], Result], part: str = "training") -> Result:
        """Run fn() and add its FLOPs to `part`; returns what fn returns.

        Remembered are counts by part and key. If fn raises, nothing is added or remembered.
        Raises RuntimeError inside another `measure` of this meter, where the FLOPs would count twice.
        """
        if self._measuring:
            raise RuntimeError(f"measure({key!r}) inside measure(): its FLOPs would count twice")
        self._measuring = True
        try:
            flops = self._counted.get((part, key))
            if flops is None:
                with _counting() as counter:
                    result = fn()
                flops = self._counted[part, key] = counter.total
            else:
                result = fn()
        finally:
            self._measuring = False
        self.add(part, flops)
        return result

    def add(self, part: str, flops: int) -> None:
        """Add FLOPs counted elsewhere, or those of a run's earlier half, to `part`."""
        self.parts[part] = self.parts.get(part, 0) + flops


# Products that torch's registry leaves out or miscounts.
def _matrix_vector(matrix: Tensor, vector: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _add_matrix_vector(bias: Tensor, matrix: Tensor, vector: Tensor, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _dot(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return 2 * a.numel()


def _euclidean_distances(a: Tensor, *_: Any, out_val: Tensor, **__: Any) -> int:
    # Nearest-mean classifiers. Computed as |a|^2 - 2 ab + |b|^2: one matrix product.
    return 2 * out_val.numel() * a.shape[-1]


def _distances_backward(grad_out: Tensor, a: Tensor, *_: Any, **__: Any) -> int:
    return 2 * grad_out.numel() * a.shape[-1]


def _sum_of_products(added: Tensor, a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    # addbmm: the sum over the batch of a [B, n, m] times b [B, m, p]
    return 2 * a.numel() * b.shape[-1]


def _trilinear(a: Tensor, b: Tensor, c: Tensor, *rest: Any, **__: Any) -> int:
    # nn.Bilinear and its gradients: the three factors, given dimensions of size 1, multiplied and summed
    shapes = [list(t.shape) for t in (a, b, c)]
    for shape, new in zip(shapes, rest, strict=False):
        for dim in sorted(new):
            shape.insert(dim, 1)
    return 2 * math.prod(torch.broadcast_shapes(*shapes))


def _convolution_backward(grad_out: Tensor, x: Tensor, weight: Tensor, *rest: Any, **__: Any) -> int:
    # Each gradient wanted, of the input and of the weight, takes the multiply-adds of the forward pass.
    # torch's formula says so too, except with groups, where it forgets them.
    transposed, output_mask = rest[4], rest[7]
    forward = 2 * (x if transposed else grad_out).numel() * weight[0].numel()
    return forward * (output_mask[0] + output_mask[1])


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten.addmm_: flop_registry[aten.addmm],
    aten.baddbmm_: flop_registry[aten.baddbmm],
    aten._addmm_activation: flop_registry[aten.addmm],
    aten.mv: _matrix_vector,
    aten.addmv: _add_matrix_vector,
    aten.addmv_: _add_matrix_vector,
    aten.dot: _dot,
    aten.vdot: _dot,
    aten._cdist_forward: _euclidean_distances,
    aten._euclidean_dist: _euclidean_distances,
    aten._pdist_forward: _euclidean_distances,
    aten._cdist_backward: _distances_backward,
    aten._pdist_backward: _distances_backward,
    aten.addbmm: _sum_of_products,
    aten.addbmm_: _sum_of_products,
    aten._trilinear: _trilinear,
    aten.convolution_backward: _convolution_backward,
}

# Where the two factors of a product stand among the arguments. Attention's are activations: it is not here.
_FACTORS = {
    **dict.fromkeys((aten.mm, aten.bmm, aten._scaled_mm, aten.mv, aten.dot, aten.vdot), slice(0, 2)),
    **dict.fromkeys((aten.convolution, aten._convolution, aten.cudnn_convolution), slice(0, 2)),
    **dict.fromkeys((aten.addmm, aten.addmm_, aten.baddbmm, aten.baddbmm_, aten._addmm_activation), slice(1, 3)),
    **dict.fromkeys((aten.addmv, aten.addmv_, aten.convolution_backward, aten.addbmm, aten.addbmm_), slice(1, 3)),
    aten._trilinear: slice(0, 3),
}

# Fused operations that hide products no formula counts: an error is better than a silent 0.
_OPAQUE = {
    aten._native_multi_head_attention,
    aten._transformer_encoder_layer_fwd,
    aten._cudnn_rnn,
    aten._cudnn_rnn_backward,
    aten.mkldnn_rnn_layer,
    aten.mkldnn_rnn_layer_backward,
    aten.miopen_rnn,
    aten.miopen_rnn_backward,
    aten._foreach_mm,
    aten._grouped_mm,
    aten._int_mm,
}
_PRODUCTS = {"mm", "bmm", "addmm", "matmul", "mv", "linear", "conv", "convolution", "attention"}
_NO_PRODUCTS = {"upsample", "combination", "prepack", "pack", "quantize", "reorder"}


def _hides_products(operation: Any) -> bool:
    """Whether an operation without a formula is a product: by list, or by the words of its name."""
    words = set(operation.__name__.split("_"))
    return operation in _OPAQUE or bool(words & _PRODUCTS and not words & _NO_PRODUCTS)


class _Counter(TorchDispatchMode):
    """Counts the products that run inside the context; with `weights`, also those with a weight as a factor.

    A weight is one of the given tensors, any nn.Parameter, a view of either, or what operations other than
    products make of weights alone: casts, stacks, masked or normalised copies. Integers (indices), booleans
    (masks) and scalars do not make it an activation.
    """

    def __init__(self, weights: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.total = 0
        self.modules = 0
        self._classify = weights is not None
        self._given: set[int] = set()
        self._derived: set[int] = set()
        # Storages are recognised by address, so those of weights must not be freed and reused while counting.
        self._alive: list[Tensor] = []
        for weight in weights or ():
            self._add(weight, self._given)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operation = func.overloadpacket
        formula = _FORMULAS.get(operation)
        if formula is None:
            # In inference mode, operations such as linear arrive whole.
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            if _hides_products(operation):
                raise NotImplementedError(f"{operation} hides products that no formula counts: use its unfused form")
        out = func(*args, **kwargs)
        if formula is not None:
            flops = int(formula(*args, **kwargs, out_val=out))
            self.total += flops
            if self._classify and any(self._is_weight(factor) for factor in args[_FACTORS.get(operation, slice(0))]):
                self.modules += flops
        elif self._classify:
            self._follow(args, kwargs, out)
        return out

    def _follow(self, args: Any, kwargs: Any, out: Any) -> None:
        """Note whether the outputs of an operation that is no product are weights."""
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        inputs = [tensor for tensor in inputs if tensor.is_floating_point() and tensor.numel() > 1]
        if inputs and all(self._is_weight(tensor) for tensor in inputs):
            for tensor in outputs:
                self._add(tensor, self._derived)
        else:
            # An activation written into a copy of a weight makes it an activation.
            self._derived.difference_update(_storage(tensor) for tensor in outputs)

    def _is_weight(self, tensor: Any) -> bool:
        if not isinstance(tensor, Tensor):
            return False
        if isinstance(tensor, nn.Parameter):
            self._add(tensor, self._given)
        storage = _storage(tensor)
        return storage in self._given or storage in self._derived

    def _add(self, tensor: Tensor, group: set[int]) -> None:
        storage = _storage(tensor)
        if storage not in group:
            group.add(storage)
            self._alive.append(tensor)


@contextmanager
def _counting(weights: Iterable[Tensor] | None = None) -> Iterator[_Counter]:
    # The fused inference kernels of nn.MultiheadAttention and nn.TransformerEncoderLayer hide their products.
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # Compiled code is not seen. Asked only where something was compiled: the question imports the compiler.
    compiled = "torch._dynamo" in sys.modules
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext(), _Counter(weights) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _storage(tensor: Tensor) -> int:
    """The identity of the memory behind a tensor, shared by its views; also on the meta device."""
    return tensor.untyped_storage()._cdata
