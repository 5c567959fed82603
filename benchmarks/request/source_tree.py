"""Python files by their path in a repository: as they are now, or at a commit."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from benchmarks.request.repository import PACKAGES, ROOT, git


class Tree:
    """Python files by their path in a repository ("methods/er.py"): all as they are given or, under `root`, as they are
    asked for. project: where a file outside of the project finds the project's packages. package: the one that imports
    are followed in, where others lie beside it."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        root: Path | None = None,
        project: Tree | None = None,
        package: str = "",
    ):
        self.files: dict[str, str | None] = dict(files or {})
        self.root, self.project, self.package = root, project, package

    def text(self, path: str) -> str | None:
        """The text of a file; None where there is none."""
        if path not in self.files and self.root is not None:
            try:
                self.files[path] = (self.root / path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                self.files[path] = None
        return self.files.get(path)

    def module(self, name: str, beside: str = "") -> Place | None:
        """The file of a module ("methods.er") that the file `beside` imports; None where it is not of this tree."""
        first = name.split(".")[0]
        if first == "benchmarks" and beside:
            return None
        if self.project is not None and first in PACKAGES:
            return self.project.module(name)
        if self.package and first != self.package:
            return None
        # as Python looks: beside a file that was run by itself, and above a package
        folders = (str(PurePosixPath(beside).parent), self.above(beside)) if self.project else (".",)
        for folder in dict.fromkeys(folders):
            for ending in (".py", "/__init__.py"):
                path = str(PurePosixPath(folder, name.replace(".", "/") + ending))
                if self.text(path) is not None:
                    return Place(self, path)
        return None

    def above(self, path: str) -> str:
        """The folder that holds the outermost package of a file."""
        folder = PurePosixPath(path).parent
        while self.text(str(folder / "__init__.py")) is not None and folder != folder.parent:
            folder = folder.parent
        return str(folder)


class Place(NamedTuple):
    """A module's file or, of a package's own file, what one of its names needs."""

    tree: Tree
    path: str
    name: str = ""


def tree_here(root: Path = ROOT) -> Tree:
    """The project's files as they are now."""
    paths = (path for package in PACKAGES for path in sorted((root / package).rglob("*.py")))
    return Tree({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})


@cache
def tree_at(commit: str, root: Path = ROOT) -> Tree | None:
    """The project's files at a commit; None where the history does not have it, or there is none."""
    try:
        listed = git(root, "ls-tree", "-r", "-z", commit, "--", *PACKAGES)
        files = {line.partition("\t")[2]: line.split()[2] for line in listed.split("\0") if line.endswith(".py")}
        blobs = subprocess.run(
            ["git", "-C", str(root), "cat-file", "--batch"],
            input="\n".join(files.values()).encode(),
            check=True,
            capture_output=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    texts, at = {}, 0
    for path in files:  # a line "id type size", then so many bytes and a newline
        start = blobs.index(b"\n", at) + 1
        size = int(blobs[at:start].split()[2])
        texts[path] = blobs[start : start + size].decode().replace("\r\n", "\n")
        at = start + size + 1
    return Tree(texts) if texts else None


HERE = tree_here()
"""As this module was imported: who edits a file while a grid runs gets records of the code that ran."""
