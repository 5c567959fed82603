"""Files that a reader finds old or new, never half written."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; what was written there then takes the place of `path`.

    Where the writing raises, `path` stays as it was. The folder is made where there is none.
    The name is this process's alone, also among machines that share the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes, to_disk: bool = False) -> Path:
    """Writes `content` (text as UTF-8) and returns `path`. to_disk: only when it would survive a power cut."""
    with written_whole(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if to_disk:
            file.flush()
            os.fsync(file.fileno())
    return path
