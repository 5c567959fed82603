"""`check` and `data`: whether methods and data sets are what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli.console import say, warn
from benchmarks.cli.options import RESULTS, DataRoot, ResultsDir


def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Python files with methods")]) -> None:
    """Prove that the methods in FILE, from anywhere, keep the contract; print what was proved. Exit 1 where one does not."""
    from benchmarks.contract.check import check_files

    text, kept = check_files(files)
    say(text)
    raise typer.Exit(0 if kept else 1)


def data(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="data sets, e.g. imagenet100, folder:NAME or npz:FILE")
    ],
    decode: Annotated[bool, typer.Option("--decode", help="decode every image file and name the corrupt ones")] = False,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
) -> None:
    """Check that data sets are there and whole, and show what is in them: counts, equal images, ten pictures a class. Exit 1 where one is not."""
    from benchmarks.cli.data_sets import check_data

    whole = True
    for good, line in check_data(names, data_root, decode, results_dir):
        (say if good else warn)(line)
        whole &= good
    raise typer.Exit(0 if whole else 1)
