"""Arguments and options that several verbs have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

SuiteName = Annotated[
    str, typer.Argument(metavar="SUITE", help="a suite's name (`list suites` shows them), or a YAML file of your own")
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="only these of the suite's methods, comma-separated; patterns such as 'der*' are allowed, and any name "
        "that `list methods` shows is added with its defaults",
    ),
]
Scenarios = Annotated[
    str | None,
    typer.Option("--scenarios", help="only these scenarios, comma-separated; patterns such as '*/class' are allowed"),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="a number N (seeds 0 to N-1) or a list, e.g. 1,2,3")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="change a setting: dotted.key=value, e.g. training.epochs=1; repeatable"),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="<file or module>",
        help="plug-ins: a Python file, file.py:Name or a module with methods, streams, networks, scores; repeatable",
    ),
]
DataRoot = Annotated[
    str | None,
    typer.Option("--data-root", metavar="<path>", help="where the data sets lie; else $DATA_ROOT, else data/"),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="cells run side by side; default one for each core or GPU")
]
Gpus = Annotated[str | None, typer.Option("--gpus", help="CUDA devices, e.g. 0,1: one worker each; default CPU")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="only say what would run, how long it takes and what it writes")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="with --dry-run: name every cell too")]
Yes = Annotated[bool, typer.Option("--yes", help="run on CPU also what takes more than 12 hours there")]
SeveralCommits = Annotated[
    bool, typer.Option("--several-commits", help="the records may come from several clean commits; the tables say so")
]
SeveralMachines = Annotated[
    bool, typer.Option("--several-machines", help="the records may come from different hardware; the tables say so")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="run cells again whose records were made by other code than today's")
]
Keep = Annotated[bool, typer.Option("--keep", help="keep such records beside new ones; the tables say so")]
ExecutorName = Annotated[
    str, typer.Option("--executor", help="who runs the cells: local (this machine), ray or slurm (a cluster)")
]
GpusPerCell = Annotated[
    float | None, typer.Option("--gpus-per-cell", help="0.25 packs four cells on a GPU (local with --gpus, or ray)")
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", help="with ray: auto or HOST:PORT of a cluster; default one started here"),
]
Slurm = Annotated[
    str | None,
    typer.Option("--slurm", help="with slurm: options of sbatch, e.g. partition=gpu,time=4:00:00,gpus=1"),
]
CellTimeout = Annotated[
    float | None,
    typer.Option(
        "--cell-timeout",
        min=0,
        help="seconds after which a cell is stopped and recorded as failed; run again, it goes on from its last finished "
        "task",
    ),
]
MaxRetries = Annotated[
    int, typer.Option("--max-retries", min=0, help="how often a cell is tried again whose process died")
]


def _with_features(results: Path) -> Path:
    """Features of frozen networks lie with the results; by the environment, which every worker has."""
    if not os.environ.get("RETAIN_FEATURES"):
        os.environ["RETAIN_FEATURES"] = str(results / "features")
    return results


ResultsDir = Annotated[
    Path, typer.Option("--results-dir", help="where records, tables and features go", callback=_with_features)
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="<name[:folder]>",
        help="show losses, accuracies and scores in tensorboard, wandb or mlflow; files go to results/tracked/; repeatable",
    ),
]
Published = Annotated[bool, typer.Option("--published", help="read the committed records instead of your own")]
Champion = Annotated[Path, typer.Option("--champion", help="the champion's file, e.g. results/champions/er.json")]
Challenger = Annotated[
    str, typer.Option("--challenger", help="a method's name, a folder of records, or a champion's file")
]

RESULTS = Path("results")


def names(text: str | None) -> list[str] | None:
    """The parts of a comma-separated option; None where it was not given."""
    return [part.strip() for part in text.split(",") if part.strip()] if text is not None else None
