"""`--rerun N`: runs some of the challenger's cells here, and compares what comes out with its records.

On a processor that calls itself the same, with the same instruction set, libraries and threads, a run repeats bit for
bit, and nothing less is accepted. Elsewhere, and on accelerators, the order of additions differs: then what does not
depend on it must be equal, and counts may differ by CELL of a task's test images and by ROW of all of them, each of at
least LEAST images. Over 40 cells of suite digits, run with and without AVX-512, the largest were 4.2% and 1.5%.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.cost.rehearse import rehearse
from benchmarks.executors.local import run_local
from benchmarks.gate.champion import Entrant
from benchmarks.gate.remarks import FACETS, UNTOLD
from benchmarks.records.record import Counts, RunRecord
from benchmarks.records.store import Store
from benchmarks.records.verified import SOLVERS, TRAINING, outcomes_that_differ
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings, MethodSettings, Resolved
from benchmarks.wording import last_line
from methods import method_class
from scenarios import SCENARIOS, DataNotFound
from scenarios.nearest import nearest

CELL, ROW, LEAST = 0.06, 0.02, 3


def run_again(challenger: Entrant, n: int, data_root: str | None, devices: list[str]) -> list[str]:
    """Runs `n` of its cells, one worker a device, and returns a sentence for each.

    Raises SettingsError where a cell cannot be run by this code, or comes out otherwise than its record says.
    """
    records = choose(challenger, n)
    cells = {record.identity: cell_of(record) for record in records}
    refused = "refused: --rerun: "
    try:
        rehearse(list(cells.values()), data_root)
        with tempfile.TemporaryDirectory() as folder:
            for _ in run_local(list(cells.values()), Path(folder), data_root, devices):
                pass
            found = Store(Path(folder)).scan().records
    except DataNotFound as error:
        raise SettingsError([refused + str(error)]) from None
    said, problems = [], []
    for record in records:
        again = found.get(record.identity)
        where = f"{record.scenario} seed {record.seed}"
        problem, outcome = compare(record, again) if again else ("it left no record", "")
        if problem:
            problems.append(f"{refused}{where}, run again here, is not what its record says: {problem}")
        said.append(f"run again here: {where}: {outcome}")
    if problems:
        raise SettingsError(problems)
    total = sum(map(len, challenger.records.values()))
    return [*said, f"{len(records)} of the challenger's {total} cells were run again here; the others rest on records"]


def choose(challenger: Entrant, n: int) -> list[RunRecord]:
    """`n` records (all where there are fewer), of as many seeds and scenarios as there can be.

    The same records always give the same choice, yet it hangs on every one of them: whoever edits a record cannot tell
    beforehand which cells will be run.
    """
    records = [record for by_seed in challenger.records.values() for record in by_seed.values()]
    everything = hashlib.sha256("".join(record.to_json() for record in records).encode()).hexdigest()
    waiting = sorted(records, key=lambda r: hashlib.sha256((everything + r.identity).encode()).hexdigest())
    chosen: list[RunRecord] = []
    taken: Counter[Any] = Counter()
    while waiting and len(chosen) < n:
        record = min(waiting, key=lambda r: (taken[r.seed], taken[r.scenario]))
        waiting.remove(record)
        chosen.append(record)
        taken.update([record.seed, record.scenario])
    return chosen


def cell_of(record: RunRecord) -> CellSettings:
    """The cell that the record says it is of, as this code would run it. Raises SettingsError where that is another."""
    where = f"refused: --rerun: {record.scenario} seed {record.seed}: this code cannot run the cell again: "
    if record.scored:
        raise SettingsError([f"{where}another program made its predictions; leave --rerun out"])
    recorded, method = Resolved(record.settings), record.settings["method"]
    try:
        cls = method_class(method["name"])
        today = MethodSettings(
            name=method["name"],
            version=cls.version,
            settings=cls.from_settings(method["settings"]).hyperparameters(),
        )
        resolved = Resolved.of(recorded.scenario, today, recorded.model, recorded.training)
        cell = CellSettings(record.scenario, record.method, resolved, record.seed)
    except KeyError:
        stream = record.settings["scenario"].get("stream")
        raise SettingsError([f"{where}unknown stream {stream!r}{nearest(str(stream), SCENARIOS)}"]) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError([f"{where}{'.'.join(map(str, first['loc']))}: {first['msg']}"]) from None
    except ValueError as error:
        raise SettingsError([where + str(error)]) from None
    if cell.identity != record.identity:
        raise SettingsError([f"{where}it was made with other settings or another version than there are now"])
    return cell


def compare(record: RunRecord, again: RunRecord) -> tuple[str, str]:
    """What is wrong with `record` by the run `again` of the same cell (empty: nothing), and how the two agree."""
    if again.status != "done":
        return f"it is {again.status} here: {last_line(again.error)}", ""
    commits = [str(r.environment.get("commit")) for r in (record, again)]
    code = f" (its commit is {commits[0]}, here {commits[1]})" if commits[0] != commits[1] else ""
    elsewhere = [name for name, of in FACETS.items() if of(record) != of(again)]
    if UNTOLD in (FACETS["instruction set"](record), FACETS["instruction set"](again)):
        elsewhere.append("instruction set unknown")
    if again.environment.get("device") != "cpu":
        elsewhere.append("an accelerator")
    wrong = ["manifests"] if _manifest(record) != _manifest(again) else []
    wrong += outcomes_that_differ(record, again)
    if elsewhere and SOLVERS in wrong:
        wrong.remove(SOLVERS)
    if "kind of device" in elsewhere and TRAINING in wrong:  # GEM's solver is counted with the steps on an accelerator
        wrong.remove(TRAINING)
    if wrong:
        return f"{', '.join(wrong)} differ{code}", ""
    cell, row = _largest_differences(record.matrix, again.matrix)
    differ = f"counts differ by up to {cell} images of a task and {row} of all tasks"
    if record.matrix == again.matrix and record.matrix_other == again.matrix_other:
        return "", "equal bit for bit"
    if not elsewhere:
        return f"{differ}, on the same hardware with the same libraries, where runs repeat bit for bit{code}", ""
    if not _within(record.matrix, again.matrix) or not _within(record.matrix_other, again.matrix_other):
        return f"{differ}, more than other {', '.join(elsewhere)} explain{code}", ""
    return "", f"{differ}, as other {', '.join(elsewhere)} may do (allowed: {CELL:.0%} and {ROW:.0%})"


def _manifest(record: RunRecord) -> dict[str, Any]:
    """What of it is the same wherever it was made."""
    return {key: value for key, value in record.scenario_manifest.items() if key != "decoder"}


def _largest_differences(one: Counts, other: Counts) -> tuple[int, int]:
    """In images: of a cell, and of the sum of a row."""
    rows = [[a - b for a, b in pairs] for pairs, _ in _pairs(one, other)]
    return max((abs(d) for row in rows for d in row), default=0), max((abs(sum(row)) for row in rows), default=0)


def _within(one: Counts | None, other: Counts | None) -> bool:
    if one is None or other is None:
        return one is other
    for pairs, totals in _pairs(one, other):
        if abs(sum(a - b for a, b in pairs)) > _allowed(ROW, sum(totals)):
            return False
        if any(abs(a - b) > _allowed(CELL, n) for (a, b), n in zip(pairs, totals, strict=True)):
            return False
    return True


def _allowed(share: float, images: int) -> int:
    return max(LEAST, math.floor(share * images))


def _pairs(one: Counts, other: Counts) -> list[tuple[list[tuple[int, int]], list[int]]]:
    """A row each: both counts of every task that was evaluated, and its test images. The totals are equal."""
    rows = []
    for ours, theirs, totals in zip(one.correct, other.correct, one.total, strict=True):
        told = [(a, b, n) for a, b, n in zip(ours, theirs, totals, strict=True) if None not in (a, b, n)]
        rows.append(([(a or 0, b or 0) for a, b, _ in told], [n or 0 for *_, n in told]))
    return rows
