"""Which commit a file is of."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@lru_cache
def commit(file: Path = Path(__file__)) -> str | None:
    """The commit of the repository that `file` is of (by default this one), with "+dirty" where tracked or new files
    differ from it; None where it is of none, as when it is installed."""
    root = repository(file)
    try:
        if root is None:
            return None
        head = git(root, "rev-parse", "HEAD").strip()
        return head + ("+dirty" if git(root, "status", "--porcelain", "--untracked-files=normal").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@lru_cache
def repository(file: Path) -> Path | None:
    """The top folder of the git repository that `file` is of. Of a folder that git is told to ignore, as that in which
    packages are installed, a file is of none."""
    try:
        top = git(file.parent, "rev-parse", "--show-toplevel").strip()
        ignored = subprocess.run(["git", "-C", str(file.parent), "check-ignore", "-q", str(file)], capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return Path(top) if top and ignored.returncode == 1 else None


def git(folder: Path, *arguments: str) -> str:
    """What a git command says in `folder`. Raises OSError, or CalledProcessError where it fails."""
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout
