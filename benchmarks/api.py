"""A whole benchmark from Python: own data, own network, own methods -> a table.

    from benchmarks.api import bench

    print(bench((x_train, y_train), (x_test, y_test), methods=["finetune", "er"], model=Net, tasks=5))

It writes a suite and goes the road of `run`: request, cells, records, report. So what is done is not done again, and
`status`, `report` and `gate` take the suite's file afterwards. Cells run one after another in this process.
"""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from benchmarks.own_packages import in_the_way

if standing := in_the_way():  # before the imports below, of which the first would say something else
    raise ImportError(
        f"{standing[0]} stands in the way of Retain's own package {standing[1]!r}: put the script into another folder, "
        "rename that one, or name the file of a method to `retain run --include`"
    )

from benchmarks.cell.run import run_cell
from benchmarks.cost.rehearse import rehearse
from benchmarks.records.matching import records_of
from benchmarks.records.provenance import to_run, traced
from benchmarks.records.record import RunRecord
from benchmarks.records.recorded import tables_folder
from benchmarks.records.results import frame_of
from benchmarks.records.scored import with_scored
from benchmarks.records.store import Store
from benchmarks.records.suite_files import check_own, remember
from benchmarks.report.write import write_report
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.names import check_name
from benchmarks.request.plugins import register
from benchmarks.wording import last_line
from methods import METHODS, Method
from scenarios import OwnData, own_data
from scenarios.arrays import save

MethodLike = str | type[Method] | Method
Methods = Sequence[MethodLike] | Mapping[str, MethodLike | Mapping[str, Any] | None]
TRAINING = {"epochs": 5, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9}}
"""Unless told otherwise."""
ELSEWHERE = {"data": "train", "setting": "setting", "settings": "setting"}
"""What a stream has and `scenario` of `bench` may not say, with the argument that says it."""


@dataclass(frozen=True)
class Bench:
    """What a benchmark gave. table: as `run` prints it; records: of all its cells that have one, and of a cell that
    failed just now what it left, though the table has an earlier run; suite: its file; report: the tables as markdown."""

    table: str
    records: list[RunRecord]
    suite: Path
    report: Path

    def __str__(self) -> str:
        return self.table

    @property
    def frame(self):
        """The scores and costs of the records, a row each: a pandas DataFrame."""
        return frame_of(self.records)

    @property
    def failed(self) -> list[RunRecord]:
        """The records of cells that failed or diverged; their `error` says why."""
        return [record for record in self.records if record.status != "done"]


def bench(
    train: Any,
    test: Any = None,
    *,
    methods: Methods = ("finetune", "er", "joint"),
    model: str | Mapping[str, Any] | Callable[..., Any] = "mlp",
    setting: str | Sequence[str] = "class",
    tasks: int | None = None,
    seeds: int | Sequence[int] = 3,
    training: Mapping[str, Any] | None = None,
    scenario: Mapping[str, Any] | None = None,
    name: str = "own",
    results_dir: str | Path = "results",
    device: str = "cpu",
    fresh: bool = False,
    keep: bool = False,
    say: Callable[[str], object] = print,
    **data: Any,
) -> Bench:
    """Trains every method on the data with every seed, as far as that is not done yet, and makes the table.

    train, test: as for `scenarios.own_data`, which takes the other arguments too (classes, mean, std, image_size); a list
    has one data set a task. Or train alone: an `OwnData`, or the name of a data set ("mnist", "npz:FILE", "folder:NAME").
    methods: names, Method classes, or Methods with the hyperparameters that they were made with; a mapping gives rows
    names of their own, and may hold the hyperparameters of a method of that name. model: the name of a backbone, the
    settings of one, an nn.Module class, or a function that makes one; it gives features, under an output layer that grows.
    tasks: over which the classes are split, by default 5; of data that came one a task, their number. scenario: more
    settings of the stream. training: of the recipe, laid over TRAINING. device: "cpu", "cuda" or "cuda:N". fresh, keep:
    what to do with records of other code, as in `run`. say: hears of each cell as it is done.
    Raises SettingsError, or ValueError of the data, with all that is wrong before anything is trained: the files of a
    suite of this name are then as they were. A cell that fails leaves a record that says so.
    """
    check_name(name, "suite")
    at, results = _device(device), Path(results_dir)
    file, stored = results / "suites" / f"{name}.yaml", results / "data" / f"{name}.npz"
    with _put_back_if_refused(results, file, stored):
        document = {
            "title": f"{name}: data, network and methods of a script",
            "seeds": seeds,
            "scenarios": _scenarios(train, test, data, setting, tasks, dict(scenario or {}), name, stored),
            "methods": _methods(methods),
            "model": _model(model),
            "training": TRAINING | dict(training or {}),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_yaml(document))
        grid = make_grid(load_suite(str(file)))
        store = Store(results / "runs" / name)
        check_own(str(file), name, store.folder)
        missing = to_run(grid, traced(store.scan()), fresh, keep)
        if missing:
            rehearse(missing, None)
            store.check_writable(len(missing))
    remember(str(file), store.folder)
    failed = _run(missing, store, at, say)
    return _reported(grid, store, results, file, failed)


def _device(device: str) -> str:
    from torch import cuda

    known = ["cpu", *(f"cuda:{n}" for n in range(cuda.device_count()))]
    wanted = "cuda:0" if device == "cuda" else str(device)
    if wanted not in known:
        raise SettingsError([f"device: {device!r} is none of this machine's: {', '.join(known)}"])
    return wanted


@contextmanager
def _put_back_if_refused(results: Path, *files: Path) -> Iterator[None]:
    """Where the block raises, `files`, of different names, are as they were."""
    results.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=results, prefix=".former.") as aside:
        former = {file: shutil.copy2(file, aside) for file in files if file.is_file()}
        try:
            yield
        except BaseException:
            for file in files:
                if file in former:
                    os.replace(former[file], file)
                else:
                    file.unlink(missing_ok=True)
            raise


def _yaml(document: dict[str, Any]) -> str:
    try:
        return yaml.safe_dump(_plain(document), sort_keys=False)
    except yaml.representer.RepresenterError as error:
        kind = type(error.args[-1]).__name__
        raise SettingsError([f"a setting is a {kind}: give a number, a text, or a list or mapping of these"]) from None


def _plain(value: Any) -> Any:
    """The same in what YAML has: numbers and arrays of numpy and torch as Python's, all sequences as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {_plain(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(part) for part in value]
    return value


def _run(missing: list, store: Store, device: str, say: Callable[[str], object]) -> dict[str, RunRecord]:
    """Gives the records of cells that failed, by identity: the store may have a good one of an earlier run."""
    failed = {}
    for n, cell in enumerate(missing, 1):
        record = run_cell(cell, None, device, store.checkpoint(cell))
        store.save(record)
        if record.status == "failed":
            failed[cell.identity] = record
        else:  # run again, it goes on from its last finished task
            store.remove_checkpoints(cell)
        why = f": {last_line(record.error)}" if record.error else ""
        say(f"[{n}/{len(missing)}] {record.status:<8} {cell.label}, {record.seconds['total']:.1f} s{why}")
    return failed


def _reported(grid: Grid, store: Store, results: Path, file: Path, failed: Mapping[str, RunRecord]) -> Bench:
    scan = traced(store.scan())
    grid = with_scored(grid, scan)
    report = write_report(grid, scan, tables_folder(results, grid.suite))
    records = [failed.get(record.identity, record) for record in records_of(grid, scan)]
    return Bench(report.text, records, file, report.markdown)


def _scenarios(
    train: Any,
    test: Any,
    about: dict[str, Any],
    setting: str | Sequence[str],
    tasks: int | None,
    more: dict[str, Any],
    name: str,
    stored: Path,
) -> dict[str, dict[str, Any]]:
    """The streams of the suite. Arrays are `stored`, where later runs and other processes find them."""
    elsewhere = ELSEWHERE if tasks is None else ELSEWHERE | {"tasks": "tasks"}
    if said := [f"scenario: {key} is what the argument {elsewhere[key]} says" for key in more if key in elsewhere]:
        raise SettingsError(said)
    stream: dict[str, Any] = {"stream": "split", "tasks": 5 if tasks is None else tasks}
    if isinstance(train, str | OwnData):
        if test is not None or about:
            given = ", ".join([*(["test"] if test is not None else []), *about])
            raise SettingsError(
                [
                    f"{given}: not beside a data set that is whole, such as {train if isinstance(train, str) else 'an OwnData'}"
                ]
            )
        source: Any = train
    else:
        _check_arguments(about)
        source = own_data(train, test, name=name, **about)
    if isinstance(source, OwnData):
        if source.tasks:
            stream = {"stream": "given", "tasks": len(source.tasks) if tasks is None else tasks}
        source = f"npz:{save(source, stored).resolve()}"
    settings = [setting] if isinstance(setting, str) else list(setting)
    return {name: stream | more | {"data": source, "settings": settings}}


def _check_arguments(about: dict[str, Any]) -> None:
    known = [p for p in inspect.signature(own_data).parameters if p not in ("train", "test", "name")]
    unknown = sorted(set(about) - set(known))
    if unknown:
        own = [p for p in inspect.signature(bench).parameters if p != "data"]
        raise SettingsError([f"bench has no argument {key}; it takes {', '.join([*own, *known])}" for key in unknown])


def _methods(methods: Methods) -> dict[str, dict[str, Any]]:
    if isinstance(methods, str) or not methods:
        raise SettingsError([f"methods: {methods!r} should be a list of methods, e.g. ['finetune', 'er']"])
    rows = methods.items() if isinstance(methods, Mapping) else [(None, method) for method in methods]
    found: dict[str, dict[str, Any]] = {}
    for row, method in rows:
        if method is None or isinstance(method, Mapping):
            base, settings = str(row), dict(method or {})
            base = settings.pop("method", base)
        else:
            base, settings = _method(method)
        row = row or base
        if row in found:
            raise SettingsError([f"methods: {row} is there twice; a mapping gives each a name: {{'{row}-2': ...}}"])
        found[row] = settings | ({} if row == base else {"method": base})
    return found


def _method(method: Any) -> tuple[str, dict[str, Any]]:
    """The registered name of a method, and the hyperparameters that it was given."""
    if isinstance(method, str):
        return method, {}
    cls = method if isinstance(method, type) else type(method)
    if not issubclass(cls, Method):
        raise SettingsError(
            [f"methods: {method!r} should be a method's name, a class derived from Method, or one of these"]
        )
    # by class: a class may be registered under another name than its own
    name = next((n for n in METHODS if METHODS[n] is cls), None) or register("method", cls)
    return name, {} if isinstance(method, type) else method.hyperparameters()


def _model(model: Any) -> dict[str, Any]:
    from torch import nn

    if isinstance(model, str):
        return {"backbone": model}
    if isinstance(model, Mapping):
        return dict(model)
    if isinstance(model, nn.Module) or not callable(model):
        raise SettingsError(
            [
                f"model: {type(model).__name__}; give an nn.Module class, or a function that makes one: each cell has its own weights"
            ]
        )
    return {"backbone": register("backbone", model)}
