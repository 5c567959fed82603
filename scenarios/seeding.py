"""One seed for each purpose, all derived from the seed of a cell.

Two methods that run with the same cell seed draw the same class order, the same initial weights and the same
batches, however much randomness either of them uses elsewhere: every purpose has its own generator.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for `purpose` (e.g. "init", or "batches", task, phase), the same on every machine."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that is used for `purpose` and for nothing else."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))


@contextmanager
def preserved_rng_state() -> Iterator[None]:
    """Preserves the RNG state of random, numpy and torch."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
