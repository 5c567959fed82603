"""What was worked out with torch and holds as long as the source does, kept on disk: importing torch takes seconds and half
a gigabyte, and to read records none is needed.

A note is JSON. Its file is named by all source of Retain, the versions of what settings are checked with, its kind and its
key: of other code, or of another request, it is another file. One that cannot be read is made anew. Only the command line
keeps notes: in another process (a notebook, a test) a class may be another than its source says.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.request.repository import ROOT

if TYPE_CHECKING:
    from benchmarks.request.source_tree import Tree

LIBRARIES = ("torch", "torchvision", "timm", "pydantic")
MOST_SOURCES = 4
"""Notes are kept of as many states of the source, those last used."""

_keeping = False


def keep_notes() -> None:
    """From now on this process reads notes, and writes those that it lacks."""
    global _keeping
    _keeping = True


def keeps_notes() -> bool:
    return _keeping


def noted(kind: str, key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives, of which JSON can be made: read where there is a note of it. key: all that it depends on beside
    the source, of which JSON can be made too."""
    found = read_note(kind, key)
    if found is None:
        found = make()
        write_note(kind, key, found)
    return found


def read_note(kind: str, key: Any) -> Any:
    """What was noted; None where nothing was."""
    try:
        return json.loads(_file(kind, key).read_bytes()) if _keeping else None
    except (OSError, ValueError):
        return None


def write_note(kind: str, key: Any, value: Any) -> None:
    """Notes `value`; nothing where the source was edited since this process began, as it may be of both."""
    from benchmarks.request.source_tree import tree_here

    file = _file(kind, key)
    if not _keeping or _digest(tree_here()) != file.parent.name:
        return
    with suppress(OSError):  # a home that cannot be written to
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True, exist_ok=True)
            _sweep(file.parent.parent)
        handle, temporary = tempfile.mkstemp(dir=file.parent)
        with open(handle, "w", encoding="utf-8") as opened:
            json.dump(value, opened)
        os.replace(temporary, file)


def _file(kind: str, key: Any) -> Path:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    return _folder() / f"{kind}-{name}.json"


@cache
def _folder() -> Path:
    """Of the source that this process began with."""
    from benchmarks.request.source_tree import HERE

    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "retain" / _digest(HERE)


def _digest(tree: Tree) -> str:
    digest = hashlib.sha256()
    for library in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            digest.update(f"{library} {metadata.version(library)}\n".encode())
    digest.update(f"{platform.python_version()} {ROOT}\n".encode())
    for path, text in tree.files.items():
        digest.update(f"{path} {len(text or '')}\n{text}".encode())
    for file in sorted((ROOT / "scenarios").glob("class_*/*")):  # which published orders of classes there are
        if file.suffix != ".py" and file.is_file():
            digest.update(f"{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:24]


def _sweep(folder: Path) -> None:
    """Removes the notes of sources that are not the last ones."""
    by_use = sorted((f for f in folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True)
    for old in by_use[MOST_SOURCES:]:
        shutil.rmtree(old, ignore_errors=True)
