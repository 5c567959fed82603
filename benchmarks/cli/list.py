"""`list`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.cli.catalogue import CATALOGUES, contents
from benchmarks.cli.console import say
from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import include_installed
from scenarios.nearest import nearest


def list_(
    what: Annotated[
        str | None, typer.Argument(metavar="[methods|networks|scenarios|metrics|suites]", help="what to list")
    ] = None,
) -> None:
    """What there is: methods, networks, scenarios, metrics or suites; with none of these words, what each lists."""
    if what is not None and what not in CATALOGUES:
        raise SettingsError([f"cannot list {what!r}{nearest(what, CATALOGUES)}"])
    include_installed()
    for line in contents() if what is None else CATALOGUES[what]():
        say(line)
