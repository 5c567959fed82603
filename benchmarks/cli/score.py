"""`manifest` and `score`: what another program needs to train on a scenario, and a record of what it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.asked import Asked
from benchmarks.cli.console import say
from benchmarks.cli.options import RESULTS, Changes, DataRoot, ResultsDir, Scenarios, Seeds, SuiteName
from benchmarks.request.errors import SettingsError, together

if TYPE_CHECKING:
    from benchmarks.records.store import Store
    from benchmarks.request.scored import ScoredCell
    from benchmarks.request.suite import Suite
    from benchmarks.scoring.score import Costs
    from scenarios import Scenario, Stream

LARGEST = 10**30
"""FLOPs that a record can hold."""


def manifest(
    suite: SuiteName,
    scenarios: Scenarios = None,
    seeds: Seeds = None,
    changes: Changes = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="<path>",
            help="a file, .json or .npz, for one scenario and seed; else a folder; default results/manifests/SUITE",
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="write npz with the images too, so that no loader is needed")
    ] = False,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
) -> None:
    """Write what another program needs to train on SUITE's scenarios: rows, labels, outputs and checksums, by seed."""
    grid = Asked(suite, None, scenarios, seeds, changes, results_dir).grid()
    from benchmarks.request.names import file_name
    from benchmarks.request.resolve import streams_of
    from benchmarks.scoring.manifest import manifest_of, write_manifest

    asked = [(name, stream, s) for name, stream in streams_of(grid.suite).items() for s in grid.suite.seeds_of(name)]
    as_file = output is not None and output.suffix in (".json", ".npz")
    if as_file and len(asked) > 1:
        raise SettingsError(
            [
                f"--output {output}: one file for {len(asked)} manifests; name one with --scenarios and --seeds, or a folder"
            ]
        )
    folder = output or results_dir / "manifests" / grid.suite.name
    ending = "npz" if images else "json"
    for name, stream, seed in asked:
        scenario = _built(stream, seed, data_root, name)
        document = manifest_of(grid.suite, suite, changes, stream, scenario, seed)
        path = folder if as_file else folder / f"{file_name(name)}.seed{seed}.{ending}"
        say(f"{name} seed {seed}: {write_manifest(path, document, scenario, images)}")


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="a file .npz, .csv or .parquet")],
    manifest: Annotated[Path, typer.Option("--manifest", help="the manifest that they answer")],
    name: Annotated[str, typer.Option("--name", help="what tables call the program, e.g. avalanche-replay")],
    provenance: Annotated[
        str, typer.Option("--provenance", metavar="<text>", help="where they come from: stands in a note of the table")
    ] = "",
    versions: Annotated[
        str | None,
        typer.Option("--versions", help="of what they were made with, e.g. avalanche-lib=0.6.0,torch=2.11.0"),
    ] = None,
    flops_train: Annotated[str | None, typer.Option("--flops-train", help="FLOPs of all training")] = None,
    flops_inference: Annotated[
        str | None, typer.Option("--flops-inference", help="of one prediction; a number, or one for each task: 1e6,2e6")
    ] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", help="of the network; a number, or one for each task")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", help="bytes kept between tasks besides the network; a number, or one for each task"),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="in place of other predictions scored under this name before")
    ] = False,
    suite: Annotated[
        str | None, typer.Option("--suite", help="the suite's name or file; default as the manifest says")
    ] = None,
    data_root: DataRoot = None,
    results_dir: ResultsDir = RESULTS,
) -> None:
    """Make a record of another program's PREDICTIONS, which then stands in tables and gates beside the methods here."""
    from benchmarks.scoring.manifest import differences, manifest_of, read_manifest
    from benchmarks.scoring.predictions import read_predictions

    document, read, told = together(
        lambda: read_manifest(manifest), lambda: read_predictions(predictions), lambda: _versions(versions)
    )
    given, seed, scenario_name = suite or document["suite"], document["seed"], document["scenario"]
    if read.manifest is not None and read.manifest != document["identity"]:
        raise SettingsError([f"{predictions} answers another manifest ({read.manifest[:12]}...) than {manifest}"])
    asked = Asked(given, None, _literal(scenario_name), f"{seed},", document["changes"], results_dir)
    grid, store = asked.grid_and_store()
    from benchmarks.records.suite_files import remember
    from benchmarks.request.resolve import streams_of
    from benchmarks.request.scored import ScoredCell
    from benchmarks.request.suite import scenario_settings
    from benchmarks.scoring.score import scored_record

    stream = streams_of(grid.suite)[scenario_name]
    cell = ScoredCell(scenario_name, name, scenario_settings(stream), seed)
    _, costs, _ = together(
        lambda: _check_name(name, grid.suite),
        lambda: _costs(flops_train, flops_inference, parameters, memory, stream.tasks),
        lambda: _check_place(store, cell, read.sha256, replace),
    )
    scenario = _built(stream, seed, data_root, scenario_name)
    ours = manifest_of(grid.suite, given, document["changes"], stream, scenario, seed)
    if ours["identity"] != document["identity"]:
        told_apart = "; ".join(differences(document, ours))
        raise SettingsError([f"{manifest} is of another version than there is now: {told_apart}: write it anew"])
    record = scored_record(cell, scenario, read, document["identity"], provenance, told, costs)
    path = store.save(record)
    remember(given, store.folder)
    say(f"scored {cell.label}: ACC {100 * record.score('acc'):.2f}%, {len(read):,} predictions: {path}")


def _built(stream: Stream, seed: int, data_root: str | None, name: str) -> Scenario:
    if getattr(stream, "validation", None) is not None:
        raise SettingsError(
            [f"{name}: validation: rows are those of what is held out; leave it out for other programs"]
        )
    try:
        return stream.build(seed, data_root, name)
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise SettingsError([f"{name} seed {seed}: {error}"]) from None


def _literal(scenario: str) -> str:
    """A scenario's name, of which the selection would take signs for a pattern."""
    import glob

    return glob.escape(scenario)


def _check_name(name: str, suite: Suite) -> None:
    from benchmarks.request.names import check_name
    from methods import METHODS

    try:
        check_name(name, "method")
    except ValueError as error:
        raise SettingsError([f"--name: {error}"]) from None
    if name in METHODS or name in suite.methods:
        raise SettingsError(
            [f"--name {name}: that is a method of Retain's or of the suite: call the program otherwise"]
        )


def _check_place(store: Store, cell: ScoredCell, sha256: str, replace: bool) -> None:
    there = store.find(cell)
    if there is not None and there.scored and there.scored.sha256 != sha256 and not replace:
        raise SettingsError(
            [
                f"{cell.label}: other predictions ({there.scored.file}) are scored already: give --replace, or another --name"
            ]
        )


def _versions(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    if not all(name.strip() and version.strip() for name, _, version in pairs):
        raise SettingsError([f"--versions {text!r}: write NAME=VERSION, e.g. avalanche-lib=0.6.0,torch=2.11.0"])
    return {name.strip(): version.strip() for name, _, version in pairs}


def _costs(train: str | None, inference: str | None, parameters: str | None, memory: str | None, tasks: int) -> Costs:
    from benchmarks.scoring.score import Costs

    whole, *listed = together(
        lambda: _numbers("--flops-train", train, 1),
        lambda: _numbers("--flops-inference", inference, tasks),
        lambda: _numbers("--parameters", parameters, tasks),
        lambda: _numbers("--memory", memory, tasks),
    )
    return Costs(whole[0] if whole else None, *listed)


def _numbers(option: str, text: str | None, tasks: int) -> list[int] | None:
    """A number for each task: those given or, of one, the same for all. Raises SettingsError."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
        whole = [int(n) for n in numbers]
    except (ValueError, OverflowError):
        numbers, whole = [-1.0], [-1]
    largest = LARGEST if option == "--flops-train" else 2**53
    if min(numbers) < 0 or max(numbers) > largest or whole != numbers or len(numbers) not in (1, tasks):
        many = f", or {tasks} of them, one for each task: 1000,2000" if tasks > 1 else ""
        raise SettingsError([f"{option} {text!r}: give a whole number of at least 0, e.g. 1e6{many}"])
    return whole * (tasks if len(whole) == 1 else 1)
