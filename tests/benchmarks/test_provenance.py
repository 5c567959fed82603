"""Records of other code: noticed, run again or kept, and proved equal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from benchmarks.cell.run import run_cell
from benchmarks.cli.app import app
from benchmarks.records import provenance, verify
from benchmarks.records.matching import lacks_only_defaults, matched_by_name, records_of
from benchmarks.records.provenance import DERIVED, SUBJECT, alike, keep_derived, made, source_text, to_run, traced
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import RunRecord
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan, Store
from benchmarks.records.verified import FILE, Verification, VerifiedCell, proved_equal, read_verified, write_verified
from benchmarks.records.verify import chosen, text_of, unreached, verify_suite
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.write import write_report
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import Grid, make_grid
from benchmarks.request.identity import identity_of
from benchmarks.request.load import load_suite
from benchmarks.request.source import source_of
from tests.benchmarks.helpers import grid, suite_file

OTHER = "0" * 16
COMMIT = "c" * 40


@pytest.fixture(scope="module")
def ran() -> tuple[Grid, Scan]:
    """Two methods, two seeds, really run."""
    whole = grid("finetune", "er", seeds=2)
    return whole, Scan({cell.identity: run_cell(cell) for cell in whole.cells})


def by_other(record: RunRecord, *files: str) -> RunRecord:
    """The record as other code of these files would have left it."""
    return record.model_copy(update={"source": record.source | dict.fromkeys(files, OTHER)})


def of_other_code(scan: Scan, method: str, *files: str) -> Scan:
    records = {i: by_other(r, *files) if r.method == method else r for i, r in scan.records.items()}
    return Scan(records)


def without_source(scan: Scan, commit: str | None) -> Scan:
    """As an older Retain left its records."""
    said = {"source": {}}
    return Scan(
        {
            i: r.model_copy(update=said | {"environment": r.environment | {"commit": commit}})
            for i, r in scan.records.items()
        }
    )


def text(grid: Grid, scan: Scan) -> str:
    return source_text(made(grid, scan), records_of(grid, scan), scan.verified)


def test_a_record_says_what_source_decided_it(ran):
    whole, scan = ran
    for cell in whole.cells:
        record = scan.records[cell.identity]
        assert record.source == source_of(cell.method.name, "split")
        assert "source" not in record.comparable()
        assert by_other(record, "methods/er.py").identity == record.identity
        assert RunRecord.model_validate_json(record.to_json()) == record


def test_records_of_todays_code_are_as_they_were(ran):
    whole, scan = ran
    assert to_run(whole, scan) == []
    assert text(whole, scan) == "not changed since these cells were run"
    assert make_leaderboard(results_of(whole, scan)).shared[SUBJECT] == text(whole, scan)


def test_records_of_other_code_stop_a_run_unless_it_is_told_what_to_do(ran):
    whole, scan = ran
    scan = of_other_code(scan, "er", "methods/er.py")
    with pytest.raises(SettingsError, match=r"^2 records were made by other code of methods/er\.py: --fresh .* --keep"):
        to_run(whole, scan)
    assert [(c.method_name, c.seed) for c in to_run(whole, scan, fresh=True)] == [("er", 0), ("er", 1)]
    assert to_run(whole, scan, keep=True) == []
    with pytest.raises(SettingsError, match="one of the two"):
        to_run(whole, scan, fresh=True, keep=True)
    assert text(whole, scan) == "changed since these cells were run: methods/er.py (2 of 4 records)"


def test_rows_with_the_same_settings_are_run_once(ran):
    whole, scan = ran
    twice = replace(
        whole, cells=[*whole.cells, *(replace(c, method_name=f"{c.method_name}-again") for c in whole.cells)]
    )
    assert to_run(twice, Scan()) == whole.cells
    assert to_run(twice, of_other_code(scan, "er", "methods/er.py"), fresh=True) == [
        cell for cell in whole.cells if cell.method_name == "er"
    ]


def test_what_is_missing_runs_beside_what_is_run_again(ran):
    whole, scan = ran
    scan = of_other_code(scan, "er", "methods/er.py")
    del scan.records[whole.cells[0].identity]
    assert [c.method_name for c in to_run(whole, scan, keep=True)] == ["finetune"]
    assert [(c.method_name, c.seed) for c in to_run(whole, scan, fresh=True)] == [("finetune", 0), ("er", 0), ("er", 1)]


def test_a_file_that_came_or_went_counts_and_many_are_counted(ran):
    whole, scan = ran
    scan = of_other_code(scan, "er", "methods/gone.py", *(f"methods/{k}.py" for k in range(6)))
    with pytest.raises(SettingsError, match=r"other code of methods/0.py, .*, methods/4.py and 2 more files"):
        to_run(whole, scan)


def test_a_failed_cell_has_no_numbers_to_be_of_other_code(ran):
    whole, scan = ran
    scan = of_other_code(scan, "er", "methods/er.py")
    failed = {i: r.model_copy(update={"status": "failed"}) if r.method == "er" else r for i, r in scan.records.items()}
    assert len(to_run(whole, Scan(failed))) == 2


def test_older_records_are_known_by_their_commit_where_there_is_history(ran, monkeypatch):
    whole, scan = ran
    now = {name: source_of(name, "split") for name in ("er", "finetune")}
    then = {COMMIT: now | {"er": now["er"] | {"methods/er.py": OTHER}}, "d" * 40: now}
    monkeypatch.setattr(provenance, "source_at", lambda commit, method, stream: then.get(commit, {}).get(method))
    same = traced(without_source(scan, "d" * 40))
    assert to_run(whole, same) == []
    old = traced(without_source(scan, COMMIT))
    with pytest.raises(SettingsError, match=r"2 records were made by other code of methods/er\.py"):
        to_run(whole, old)
    for commit in (f"{COMMIT}+dirty", "e" * 40, None):
        unknown = traced(without_source(scan, commit))
        assert to_run(whole, unknown) == []
        assert len(to_run(whole, unknown, fresh=True)) == 4
        assert text(whole, unknown) == "not known for 4 of 4 records"


def test_what_the_history_said_is_kept_for_a_clone_without_it(ran, tmp_path, monkeypatch):
    whole, scan = ran
    folder = tmp_path / "published" / "digits"
    now = {name: source_of(name, "split") for name in ("er", "finetune")}
    changed = {name: source | {"methods/core/method.py": OTHER} for name, source in now.items()}
    monkeypatch.setattr(provenance, "source_at", lambda commit, method, stream: changed[method])
    PublishedStore(folder).save(without_source(scan, COMMIT).records.values())
    assert keep_derived(folder, PublishedStore(folder).scan()) == folder / DERIVED
    written = (folder / DERIVED).read_text()
    whole_clone = traced(PublishedStore(folder).scan(), folder)
    write_report(whole, whole_clone, tmp_path / "whole")
    monkeypatch.setattr(provenance, "source_at", lambda *names: None)
    assert keep_derived(folder, PublishedStore(folder).scan()) == folder / DERIVED
    assert (folder / DERIVED).read_text() == written
    shallow = traced(PublishedStore(folder).scan(), folder)
    write_report(whole, shallow, tmp_path / "shallow")
    (name,) = [path.name for path in (tmp_path / "whole").glob("*.md") if "comparison" not in path.name]
    told = (tmp_path / "whole" / name).read_text()
    assert f"- {SUBJECT}: changed since these cells were run: methods/core/method.py (4 of 4 records)" in told
    assert (tmp_path / "shallow" / name).read_text() == told
    (folder / DERIVED).write_text("{")
    with pytest.raises(SettingsError, match="delete it"):
        traced(Scan(), folder)


def cell_of(record: RunRecord, differ: int = 0, changed=()) -> VerifiedCell:
    return VerifiedCell(
        scenario=record.scenario,
        method=record.method,
        seed=record.seed,
        identity=record.identity,
        answers=1000,
        differ=differ,
        changed=tuple(changed),
    )


def once(record: RunRecord, *cells: VerifiedCell, **changes) -> Verification:
    environment = record.environment
    same = {key: environment[key] for key in ("hardware", "instructions", "threads", "products")}
    values = same | {"torch": environment["versions"]["torch"], "commit": COMMIT, "cells": cells}
    return Verification(**(values | changes))


def test_a_change_proved_equal_does_not_make_records_old(ran):
    whole, scan = ran
    now = source_of("er", "split")
    scan = of_other_code(scan, "er", "methods/er.py", "benchmarks/cell/fit.py")
    record = next(r for r in scan.records.values() if r.method == "er")
    fit, er = (
        ("benchmarks/cell/fit.py", OTHER, now["benchmarks/cell/fit.py"]),
        ("methods/er.py", OTHER, now["methods/er.py"]),
    )
    scan.verified = (once(record, cell_of(record, changed=[fit, er])),)
    assert to_run(whole, scan) == []
    assert text(whole, scan) == (
        "changed, with equal results: benchmarks/cell/fit.py, methods/er.py; 1 of the cells, run again at commit "
        f"cccccccccccc on {record.environment['hardware']}: matrices equal bit for bit"
    )
    # of one file alone, of another edit, or unequal: that proves nothing of the rest
    scan.verified = (once(record, cell_of(record, changed=[fit])),)
    with pytest.raises(SettingsError, match=r"other code of methods/er\.py:"):
        to_run(whole, scan)
    scan.verified = (once(record, cell_of(record, changed=[fit, ("methods/er.py", OTHER, "1" * 16)])),)
    with pytest.raises(SettingsError, match=r"other code of methods/er\.py:"):
        to_run(whole, scan)
    scan.verified = (once(record, cell_of(record, 3, [fit, er]), hardware="Another, 2 cores"),)
    assert proved_equal(scan.verified) == set()
    both = once(record, cell_of(record, changed=[fit, er]), cell_of(record, 3, [fit]))
    assert proved_equal([both]) == {er}  # with the other file some answers did change
    with pytest.raises(SettingsError, match=r"benchmarks/cell/fit\.py, methods/er\.py"):
        to_run(whole, scan)
    told = text(whole, scan)
    assert "0 equal, 1 not (the machine or torch is, or may be, another kind than the records')" in told
    assert told.endswith(f"split-digits/class er seed {record.seed} in 3 of 1,000 test answers")


@pytest.mark.parametrize("told", ["AVX9", None])
def test_a_processor_of_one_name_with_other_instructions_need_not_be_equal(ran, told):
    record = next(iter(ran[1].records.values()))
    assert alike(once(record, cell_of(record)), record)
    assert not alike(once(record, cell_of(record), instructions=told), record)
    older = record.model_copy(update={"environment": record.environment | {"instructions": told}})
    assert not alike(once(record, cell_of(record)), older)
    assert alike(once(older, cell_of(record)), older) == (told is not None)


@pytest.fixture
def published(ran, tmp_path):
    """The folder of published suites, with the records of `ran`, er's of other code."""
    _, scan = ran
    folder = tmp_path / "published"
    PublishedStore(folder / "digits").save(of_other_code(scan, "er", "methods/er.py").records.values())
    return folder


def run_here(cells, folder) -> None:
    for cell in cells:
        Store(folder).save(run_cell(cell))


def test_cells_run_again_are_compared_and_the_table_says_so(ran, published, monkeypatch):
    whole, _ = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)
    found = verify_suite(whole, published, 2, run_here)
    assert [(cell.method, cell.equal) for cell in found.cells] == [("er", True), ("finetune", True)]
    assert found.cells[0].changed == (("methods/er.py", OTHER, source_of("er", "split")["methods/er.py"]),)
    assert found.cells[1].changed == ()
    assert found.cells[0].answers > 500
    assert read_verified(published / "digits") == (found,)
    scan = traced(PublishedStore(published / "digits").scan(), published / "digits")
    assert to_run(whole, scan) == []
    assert (
        "2 of the cells, run again at commit cccccccccccc" in make_leaderboard(results_of(whole, scan)).shared[SUBJECT]
    )
    # again, more: the same cells are not told twice
    more = verify_suite(whole, published, 3, run_here)
    assert read_verified(published / "digits") == (more,)
    assert len(more.cells) == 3


def test_cells_that_come_out_otherwise_are_told(ran, published, monkeypatch):
    whole, _ = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)
    store = PublishedStore(published / "digits")
    documents = [json.loads(line) for line in store.file.read_text().splitlines()]
    for document in documents:
        if document["method"] == "er":
            document["matrix"]["correct"][5][0] -= 1 if document["matrix"]["correct"][5][0] else -1
    store.file.write_text("".join(json.dumps(document) + "\n" for document in documents))
    found = verify_suite(whole, published, 2, run_here)
    (er,) = (cell for cell in found.cells if cell.method == "er")
    assert not er.equal
    assert er.differ == 1
    scan = traced(store.scan(), published / "digits")
    with pytest.raises(SettingsError, match=r"methods/er\.py"):
        to_run(whole, scan)
    assert "1 equal, 1 not: split-digits/class er seed" in text(whole, scan)


OTHERWISE = {
    "training FLOPs": lambda r: {"flops": r.flops.model_copy(update={"training": r.flops.training // 10})},
    "solver FLOPs": lambda r: {
        "flops": r.flops.model_copy(update={"training": r.flops.training + 1, "parts": {"solver": 1}})
    },
    "inference FLOPs": lambda r: {"flops": r.flops.model_copy(update={"inference_modules": [1] * 5})},
    "steps": lambda r: {"steps": r.steps + 1},
    "parameters": lambda r: {"parameters": [{"total": 1}] * 5},
    "stored bytes": lambda r: {"memory": r.memory.model_copy(update={"stored_bytes": [{"buffer": 1}] * 5})},
    "presence or size of matrix_other": lambda r: {"matrix_other": None, "matrix_other_view": None},
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_equal_matrices_alone_prove_nothing(ran, published, monkeypatch, name):
    whole, scan = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)
    found = verify_suite(whole, published, 2, leaves(scan, OTHERWISE[name]))
    assert [(cell.error, cell.differ) for cell in found.cells] == [(f"{name} differ", 0)] * 2
    assert proved_equal([found]) == set()
    stored = matched_by_name(whole, PublishedStore(published / "digits").scan())
    assert text_of(found, stored)[0].endswith(f"er seed {found.cells[0].seed}: {name} differ")


def test_all_that_differs_is_told(ran, published, monkeypatch):
    whole, scan = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)

    def change(record: RunRecord) -> dict[str, object]:
        rows = [[n and n - 1 for n in row] for row in record.matrix.correct]
        return {"steps": 1, "matrix": record.matrix.model_copy(update={"correct": rows})}

    (er, _) = verify_suite(whole, published, 2, leaves(scan, change)).cells
    assert er.differ > 5
    assert er.error == f"steps, {er.differ:,} of {er.answers:,} test answers differ"


def leaves(scan: Scan, change=lambda record: {}):
    """What runs cells again, and leaves the records of `scan` with a change."""

    def run(cells, folder) -> None:
        for cell in cells:
            record = scan.records[cell.identity]
            Store(folder).save(record.model_copy(update=change(record)))

    return run


def with_method_settings(record: RunRecord, change) -> RunRecord:
    """As it would have been with other settings of its method."""
    settings = json.loads(json.dumps(record.settings))
    change(settings["method"]["settings"])
    return record.model_copy(update={"settings": settings, "identity": identity_of(settings)})


def test_records_from_before_a_setting_can_be_verified(ran, tmp_path, monkeypatch):
    whole, scan = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)
    older = [
        with_method_settings(r, lambda own: own.pop("memory")) if r.method == "er" else r for r in scan.records.values()
    ]
    folder = tmp_path / "digits"
    PublishedStore(folder).save(older)
    found = verify_suite(whole, tmp_path, 9, leaves(scan))
    assert {cell.identity for cell in found.cells if cell.equal} == {record.identity for record in older}
    told = text_of(found, matched_by_name(whole, PublishedStore(folder).scan()))
    assert len(told) == 4
    assert all("equal bit for bit" in line for line in told)
    assert "4 of the cells" in text(whole, traced(matched_by_name(whole, PublishedStore(folder).scan()), folder))


def test_what_cannot_be_verified_is_counted(ran, tmp_path, monkeypatch):
    whole, scan = ran
    monkeypatch.setattr(verify, "_commit_of", lambda cells: COMMIT)
    er = [record for record in scan.records.values() if record.method == "er"]
    today = er[0].settings
    for change in ({"memory": "tasks"}, {"gone": 1}, {"buffer_size": 7}):
        other = with_method_settings(er[0], lambda own, change=change: own.update(change))
        assert not lacks_only_defaults(other.settings, today)
    # a setting that was not there, and stands at another value than its default today
    older, tasks = (
        with_method_settings(er[0], f) for f in (lambda own: own.pop("memory"), lambda own: own.update(memory="tasks"))
    )
    assert lacks_only_defaults(older.settings, today)
    assert not lacks_only_defaults(older.settings, tasks.settings)

    ewc = grid("ewc").cells[0]
    settings = ewc.identity_settings()
    stranger = er[0].model_copy(update={"method": "ewc", "settings": settings, "identity": ewc.identity})
    ended = next(r for r in scan.records.values() if r.method == "finetune").model_copy(update={"status": "diverged"})
    others = [with_method_settings(record, lambda own: own.update(buffer_size=7)) for record in er]
    PublishedStore(tmp_path / "digits").save([*others, stranger, ended])
    stored = PublishedStore(tmp_path / "digits").scan()
    assert stored.problems == []
    size = er[0].settings["method"]["settings"]["buffer_size"]
    reasons = [
        "cannot be verified: 1 record of no cell that the suite runs",
        "cannot be verified: 1 record of runs that did not come to their end",
        f"cannot be verified: 2 records with other settings: methods.er.buffer_size 7 instead of {size}",
    ]
    assert unreached(whole, matched_by_name(whole, stored), 4) == reasons
    with pytest.raises(SettingsError, match="nothing to verify") as caught:
        verify_suite(whole, tmp_path, 1, leaves(scan))
    assert caught.value.problems[1:] == reasons
    PublishedStore(tmp_path / "digits").save([*stored.records.values(), scan.records[whole.cells[2].identity]])
    found = verify_suite(whole, tmp_path, 1, leaves(scan))
    assert list(found.unreached) == reasons
    assert text_of(found, matched_by_name(whole, PublishedStore(tmp_path / "digits").scan()))[1:] == reasons


def test_which_cells_are_verified_does_not_hang_on_chance(ran):
    whole, scan = ran
    assert chosen(whole, scan, 2) == chosen(whole, scan, 2)
    assert {cell.method_name for cell in chosen(whole, scan, 2)} == {"er", "finetune"}
    assert [cell.method_name for cell in chosen(whole, of_other_code(scan, "er", "methods/er.py"), 1)] == ["er"]
    assert [c.method_name for c in chosen(whole, of_other_code(scan, "finetune", "methods/core/method.py"), 1)] == [
        "finetune"
    ]
    assert len(chosen(whole, scan, 99)) == 4
    assert chosen(whole, Scan(), 2) == []


def test_only_committed_code_is_verified(ran, published, monkeypatch):
    whole, _ = ran
    monkeypatch.setattr(verify, "commit", lambda: f"{COMMIT}+dirty")
    monkeypatch.setattr(verify, "commits_of_cell", lambda cell: {"commit": f"{COMMIT}+dirty"})
    monkeypatch.setattr(verify, "source_at", lambda *names: None)
    with pytest.raises(SettingsError, match="commit it first"):
        verify_suite(whole, published, 1, run_here)
    assert not (published / "digits" / FILE).exists()
    # files that decide nothing, as those that a verification wrote, may lie about
    monkeypatch.setattr(verify, "source_at", lambda commit, *names: source_of(*names))
    assert verify_suite(whole, published, 1, run_here).commit == COMMIT
    with pytest.raises(SettingsError, match="nothing to verify"):
        verify_suite(whole, published / "elsewhere", 1, run_here)


def test_a_broken_file_of_verifications_is_named(tmp_path):
    write_verified(tmp_path, [])
    assert read_verified(tmp_path) == ()
    (tmp_path / FILE).write_text('[{"commit": 1}]')
    with pytest.raises(SettingsError, match=r"verified\.json"):
        read_verified(tmp_path)


def test_the_command_line(tmp_path):
    cli = CliRunner()
    suite = str(suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}"))
    where = ("--results-dir", str(tmp_path / "results"))
    store = Store(tmp_path / "results" / "runs" / "tiny")

    def invoke(*arguments: str):
        return cli.invoke(app, [*arguments, *where], catch_exceptions=False)

    for cell in make_grid(load_suite(suite)).cells:
        store.save(run_cell(cell))
    assert "2 done, 0 to run" in invoke("run", suite).output
    for record in store.scan().records.values():
        if record.method == "er":
            store.save(by_other(record, "methods/er.py"))
    for dry in ((), ("--dry-run",)):
        with pytest.raises(SettingsError, match=r"1 record was made by other code of methods/er\.py"):
            invoke("run", suite, *dry)
    said = "1 record was made by other code of methods/er.py"
    assert said in invoke("status", suite).output
    assert said in invoke("report", suite, "--no-plots").output
    kept = invoke("run", suite, "--keep")
    assert "2 done, 0 to run" in kept.output
    assert said in kept.output
    assert "methods/er.py (1 of 2 records)" in (tmp_path / "results" / "leaderboards" / "tiny.md").read_text()
    assert "1 done, 1 to run" in invoke("run", suite, "--fresh", "--workers", "1").output
    assert "2 done, 0 to run" in invoke("run", suite).output
