"""`selftest`: whether this machine's device trains as the processor does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def selftest(
    gpus: Annotated[
        str | None, typer.Option("--gpus", help="CUDA devices, e.g. 0,1: the first is tried, all where ranks are")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu: the same checks on the processor")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a few methods, without compiler and second process")] = False,
    minutes: Annotated[float, typer.Option("--minutes", min=0, help="checks that begin later are left out")] = 10.0,
    results_dir: Annotated[Path, typer.Option("--results-dir", help="where selftest/ goes")] = Path("results"),
) -> None:
    """Try every method on a device, against the processor; write results/selftest/. Exit 1 where a check failed."""
    import os

    from benchmarks.request.errors import SettingsError

    if (gpus is None) == (device is None) or device not in (None, "cpu"):
        raise SettingsError(["selftest: give --gpus 0 (or 0,1), or --device cpu"])
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # before torch looks: cuda:0 is the first of them, here and in ranks
        import torch

        named = [part for part in gpus.split(",") if part.strip()]
        if not named or torch.cuda.device_count() < len(named):
            raise SettingsError([f"--gpus {gpus}: this machine has not those, torch sees {torch.cuda.device_count()}"])
    from benchmarks.selftest.run import passed
    from benchmarks.selftest.run import selftest as run

    rows, path = run("cuda:0" if gpus is not None else "cpu", results_dir, quick, typer.echo, minutes)
    typer.echo(f"written: {path}")
    raise typer.Exit(0 if passed(rows) else 1)
