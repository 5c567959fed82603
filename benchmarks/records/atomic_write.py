"""Files and folders that a reader finds old or new, never half written."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from pathlib import Path

ABANDONED = 24 * 3600.0
"""Seconds without a change after which a temporary file of another machine counts as left behind."""

_numbers = count()
_UNIQUE = r"\.\d+@(?P<machine>.+-\d+)-(?P<pid>\d+)-(?P<started>\d+)\.tmp"
_TEMPORARY = re.compile(_UNIQUE)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to; what was written there then takes the place of `path`.

    Where the writing raises, `path` stays as it was. The folder is made where there is none. Where the writer is
    killed, its temporary file goes when a later process writes to the folder.
    """
    with temporary_file(path.parent) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """A name in `folder` that is this call's alone, also among machines that share the folder; gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    _sweep_once(folder, os.getpid())
    # not after the file to come: its name may be as long as names can be
    temporary = folder / _unique_name()
    try:
        yield temporary
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


@contextmanager
def written_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to write to, this call's alone, which then takes the place of `folder` whole.

    Where the writing raises, `folder` stays as it was; where the writer is killed, a later one puts that right.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _put_right(folder)
    temporary = folder.with_name(f".{folder.name}{_unique_name()}")
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
    finally:
        if folder.exists() or not old.exists():  # else it is all there is
            shutil.rmtree(temporary, ignore_errors=True)


def _put_right(folder: Path) -> None:
    """Removes what killed writers of `folder` left, and puts `folder` back where one of them had moved it away."""
    named = re.compile(rf"\.{re.escape(folder.name)}{_UNIQUE}")
    for left in list(folder.parent.iterdir()):
        with suppress(OSError):  # another puts it right, or it is not ours to tidy
            if (written := named.fullmatch(left.name)) and _is_abandoned(left, written):
                if (left / "old").exists() and not folder.exists():
                    (left / "old").rename(folder)
                shutil.rmtree(left)


def sweep(folder: Path) -> None:
    """Removes the temporary files in `folder` whose writers live no more; those of other machines after a day."""
    try:
        paths = [path for path in folder.iterdir() if path.name.endswith(".tmp")]
        for path in paths:
            if (written := _TEMPORARY.fullmatch(path.name)) and _is_abandoned(path, written):
                path.unlink(missing_ok=True)
    except OSError:
        pass  # no such folder, or one that is not ours to tidy


@lru_cache(maxsize=1024)
def _sweep_once(folder: Path, process: int) -> None:
    sweep(folder)


def _unique_name() -> str:
    return f".{next(_numbers)}@{machine()}-{os.getpid()}-{started(os.getpid())}.tmp"


def _is_abandoned(path: Path, written: re.Match[str]) -> bool:
    if written["machine"] == machine():
        return started(int(written["pid"])) != written["started"]
    return path.stat().st_mtime < time.time() - ABANDONED


def machine() -> str:
    """This machine, and what of it sees the same process numbers: containers may share a host name."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{platform.node()}-{namespace}"


def started(pid: int) -> str | None:
    """When process `pid` started, as the system counts: a number may be given again. None where it lives no more.

    "0" where the system does not say.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's
    return "0"
