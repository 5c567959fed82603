"""Kinds of objects that are stored by parts of their own: generators by their states, arrays by their bytes, ..."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cell.state.names import CannotStore, NotStored


def _generator(device: torch.device, state: Tensor) -> torch.Generator:
    generator = torch.Generator(device)
    generator.set_state(state)
    return generator


def _array_parts(array: np.ndarray) -> tuple[Any, ...]:
    if array.dtype.hasobject or array.dtype.names:
        raise CannotStore(f"a numpy array of {array.dtype}")
    return array.dtype.str, list(array.shape), torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())


def _array(dtype: str, shape: list[int], data: Tensor) -> np.ndarray:
    return np.ndarray(shape, np.dtype(dtype), data.numpy().tobytes()).copy()


def _numpy_generator(name: str, state: dict[str, Any]) -> np.random.Generator:
    if name not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise NotStored(f"numpy has no generator {name!r}")
    generator = np.random.Generator(getattr(np.random, name)())
    generator.bit_generator.state = state
    return generator


def _numpy_random(state: dict[str, Any]) -> np.random.RandomState:
    generator = np.random.RandomState()
    generator.set_state(state)
    return generator


def _random(state: tuple[Any, ...]) -> random.Random:
    generator = random.Random()
    generator.setstate(state)
    return generator


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    if not isinstance(dtype, torch.dtype):
        raise NotStored(f"torch has no number format {name!r}")
    return dtype


FORMS: dict[str, tuple[type, Callable[[Any], tuple[Any, ...]], Callable[..., Any]]] = {
    "complex": (complex, lambda c: (c.real, c.imag), complex),
    "bytes": (bytes, lambda b: (b.decode("latin-1"),), lambda text: text.encode("latin-1")),
    "slice": (slice, lambda s: (s.start, s.stop, s.step), slice),
    "range": (range, lambda r: (r.start, r.stop, r.step), range),
    "path": (type(Path()), lambda p: (str(p),), Path),
    "size": (torch.Size, lambda s: (list(s),), torch.Size),
    "dtype": (torch.dtype, lambda d: (str(d).removeprefix("torch."),), _dtype),
    "generator": (torch.Generator, lambda g: (g.device, g.get_state()), _generator),
    "array": (np.ndarray, _array_parts, _array),
    "random": (random.Random, lambda r: (r.getstate(),), _random),
    "numpy random": (np.random.RandomState, lambda r: (r.get_state(legacy=False),), _numpy_random),
    "numpy generator": (
        np.random.Generator,
        lambda g: (type(g.bit_generator).__name__, g.bit_generator.state),
        _numpy_generator,
    ),
}
"""By the name of a kind: its type, the parts of an object of it, and what makes it of them."""
FORM_OF = {kind: name for name, (kind, _, _) in FORMS.items()}
