"""Which commit a file is of."""

from __future__ import annotations

import json
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("scenarios", "metrics", "models", "methods", "benchmarks")
"""Retain's own, each before those that import it."""


@lru_cache
def commit(file: Path = Path(__file__)) -> str | None:
    """The commit of the repository that `file` is of (by default this one), with "+dirty" where tracked or new files
    differ from it. None where it is of none, as when it is installed; of this project then the commit that it was
    installed from, where that is known."""
    root = repository(file)
    try:
        if root is None:
            return installed_from() if file.is_relative_to(ROOT / "benchmarks") else None
        head = git(root, "rev-parse", "HEAD").strip()
        return head + ("+dirty" if git(root, "status", "--porcelain", "--untracked-files=normal").strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def installed_from() -> str | None:
    """The commit of the git address that Retain was installed from; None for a wheel."""
    return _noted().get("vcs_info", {}).get("commit_id")


def requirement() -> str | None:
    """This Retain as a line of requirements.txt: the git address and commit that it was installed from; None where it was
    installed in another way. A name and version would not do: `retain` of the public package index is another project."""
    noted = _noted()
    return f"retain @ git+{noted['url']}@{noted['vcs_info']['commit_id']}" if "vcs_info" in noted else None


def _noted() -> dict[str, Any]:
    """Where Retain was installed from, as pip notes it (PEP 610)."""
    try:
        return json.loads(metadata.distribution("retain").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}


def is_installed(file: Path) -> bool:
    """Whether a file lies where packages are installed, beside others that have nothing to do with it."""
    return not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


@lru_cache
def repository(file: Path) -> Path | None:
    """The top folder of the git repository that `file` is of. An installed package's is of none, also where git is not
    told to ignore the environment; nor is one in a folder that git is told to ignore."""
    if is_installed(file):
        return None
    try:
        top = git(file.parent, "rev-parse", "--show-toplevel").strip()
        ignored = subprocess.run(["git", "-C", str(file.parent), "check-ignore", "-q", str(file)], capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return Path(top) if top and ignored.returncode == 1 else None


def git(folder: Path, *arguments: str) -> str:
    """What a git command says in `folder`. Raises OSError, or CalledProcessError where it fails."""
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout
