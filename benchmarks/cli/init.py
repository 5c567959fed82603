"""`init`: a repository of one's own to begin with."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli.console import say
from benchmarks.request.errors import SettingsError
from benchmarks.request.repository import requirement

PLACES = {
    "my_replay.py": "my_replay.py",
    "suite.yaml": "suite.yaml",
    "Makefile": "Makefile",
    "README.md": "README.md",
    "gate.yaml": ".github/workflows/gate.yaml",
    "gitignore.txt": ".gitignore",
}
"""Files of benchmarks/starter, and where they go."""
NO_ADDRESS = (
    "retain @ git+https://retain.invalid/retain  # put Retain's git address here; "
    "the package index has another project of this name"
)
"""The requirement where Retain's own address is not known. Nothing ever stands under `.invalid` (RFC 2606)."""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="where; it is made, and nothing is replaced")
    ] = Path(),
) -> None:
    """Write a small repository of your own: a method, a suite, a Makefile and the gate in CI."""
    texts = {place: files("benchmarks.starter").joinpath(name).read_text("utf-8") for name, place in PLACES.items()}
    retain = requirement()
    texts["requirements.txt"] = (retain or NO_ADDRESS) + "\n"
    there = [str(folder / place) for place in texts if (folder / place).exists()]
    if there:
        raise SettingsError([f"{path} is there already; name another folder" for path in there])
    for place, text in texts.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, "utf-8")
        say(str(folder / place))
    if retain is None:
        say(f"{folder / 'requirements.txt'}: put Retain's git address there, or a submodule's folder: -e ./retain")
    say(f"next: {'' if folder == Path() else f'cd {shlex.quote(str(folder))} && '}make bench")
