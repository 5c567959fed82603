"""Files that a reader finds old or new, never half written."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: str | bytes) -> Path:
    """Writes `content` (text as UTF-8) under a temporary name, then gives it its own. Returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
