"""A document of tensors and plain data in a file that tells when it is damaged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from benchmarks.records.atomic_write import written_whole

DIGEST = hashlib.sha256().digest_size


class BrokenFile(ValueError):
    """A file that is not as it was written."""


def write_state(path: Path, document: dict[str, Any], previous: Path | None = None) -> Path:
    """Writes what `torch.load(path, weights_only=True)` reads, and its sha256 behind it, whole or not at all.

    previous: where the file goes that was under `path`, once the new one is written.
    """
    with written_whole(path) as temporary:
        torch.save(document, temporary)
        with open(temporary, "r+b") as file:
            file.write(hashlib.file_digest(file, "sha256").digest())  # it has been read to its end
        if previous is not None and path.exists():
            os.replace(path, previous)
    return path


def read_state(path: Path) -> dict[str, Any]:
    """What was written, on the processor. Runs nothing that is in the file.

    Raises BrokenFile where a bit is not as it was written (torch.load itself looks at no checksum), or where the file
    holds something else; OSError where it cannot be read.
    """
    with open(path, "rb") as file:
        left, digest = os.fstat(file.fileno()).st_size - DIGEST, hashlib.sha256()
        while left > 0 and (data := file.read(min(left, 1 << 20))):
            digest.update(data)
            left -= len(data)
        if file.read() != digest.digest():
            raise BrokenFile("its checksum is not that of its content: damaged, cut short or of an earlier version")
        file.seek(0)
        try:
            document = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise BrokenFile("it does not hold tensors and plain data alone") from error
    if not isinstance(document, dict):
        raise BrokenFile(f"it holds a {type(document).__name__}, not a document")
    return document
