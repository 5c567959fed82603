"""One seed for each purpose, all derived from the seed of a cell.

Two methods that run with the same cell seed draw the same class order, the same initial weights and the same
batches, however much randomness either of them uses elsewhere: every purpose has its own generator.
"""

import hashlib

import torch


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for `purpose` (e.g. "init", or "batches", task, phase), the same on every machine."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that is used for `purpose` and for nothing else."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))
