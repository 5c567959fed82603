"""The ledger: what agrees, what differs, and that the page says so, to the byte.

Where the page is meant to change, render the golden one anew and read the difference:

    python -m tests.benchmarks.test_ledger
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmarks.ledger.compare
import benchmarks.request.catalogue
from benchmarks.cell.run import run_cell
from benchmarks.cli.app import app
from benchmarks.ledger.compare import Entry, compare, entries_of, judge, protocol_names, unmatched
from benchmarks.ledger.order import order_entries
from benchmarks.ledger.published import REFERENCES, Published, Reference, load_reference
from benchmarks.ledger.render import FILE, NOT_EXAMINED, ledger, summary
from benchmarks.records.published import PublishedStore
from benchmarks.records.store import Scan, Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from metrics import SCORES, Estimate, Summary, score, summarise
from tests.benchmarks.test_report_fixtures import planted, recorded, recorded_grid, shifted
from tests.benchmarks.test_report_golden import GOLDEN, IMPOSSIBLE, RECORDS, SUITE

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "published"
cli = CliRunner()


def golden_entries(scan: Scan) -> list[Entry]:
    """The golden records as a protocol with published values, and as one without."""
    described = {"kind": "protocol", "source": "Nobody 2020", "choices": ["Digits_of 8 × 8 pixels, for speed."]}
    suite = load_suite(SUITE).model_copy(update=described)
    grid = recorded_grid(suite, scan, IMPOSSIBLE)
    alone = recorded_grid(suite.model_copy(update={"name": "alone"}), scan, IMPOSSIBLE)
    reference = load_reference("small", GOLDEN / "references")
    return [Entry(grid, scan, reference, "small", "small/records"), Entry(alone, scan, None, "alone", "alone/records")]


@pytest.fixture(scope="module")
def scan() -> Scan:
    return RECORDS.scan()


def test_ledger_of_the_golden_records(scan):
    assert ledger(golden_entries(scan)).encode() == (GOLDEN / FILE).read_bytes()


def test_the_golden_ledger_shows_every_verdict_and_drops_no_row(scan):
    rows = compare(golden_entries(scan)[0])
    assert {row.published.id: (row.verdict, row.why) for row in rows} == {
        "made.task.Joint": ("agrees", "interval and 0.5 points"),
        "made.class.Joint": ("agrees", "interval"),
        "made.task.None": ("differs", ""),
        "made.class.None": ("agrees", "interval and 0.5 points"),
        "made.class.LwF": ("differs", ""),
        "made.task.LwF": ("differs", ""),
        "made.class.Columns": ("not run", IMPOSSIBLE["split-digits/class", "pnn"]),
        "made.class.Feedback": ("not run", "replay through feedback is not a method here"),
    }
    assert summary(rows) == (
        "8 published cells: 6 compared, 3 agree (50.0%), 3 differ, 2 not run. "
        "Of the published values compared 2 are as others copied them, unchecked."
    )
    checked = [replace(row, published=row.published.model_copy(update={"confidence": "primary"})) for row in rows]
    assert summary(checked) == "8 published cells: 6 compared, 3 agree (50.0%), 3 differ, 2 not run."
    copied = [replace(row, published=row.published.model_copy(update={"confidence": "secondary1"})) for row in rows]
    assert summary(copied).endswith("Of the published values compared all are as others copied them, unchecked.")


def test_another_score_formula_gives_another_ledger(monkeypatch):
    """What is shown is computed from the records' counts, not kept: compare the golden page."""
    monkeypatch.setitem(SCORES, "acc", replace(SCORES["acc"], function=SCORES["la"].function))
    assert ledger(golden_entries(RECORDS.scan())) != (GOLDEN / FILE).read_text()


# Verdicts


def test_the_interval_of_the_difference_decides():
    # Standard errors 3/sqrt(9) = 1 and 1, both n = 9: half width t(0.975; 16) * sqrt(2) = 2.1199 * 1.4142 = 2.998.
    ours = Summary(mean=52.99, half_width=math.nan, n=9, std=3.0)
    difference, verdict, why = judge(ours, Estimate(50.0, 1.0, 9))
    assert difference.half_width == pytest.approx(2.998, abs=1e-3)
    assert (verdict, why) == ("agrees", "interval")
    assert judge(Summary(53.01, math.nan, 9, 3.0), Estimate(50.0, 1.0, 9))[1] == "differs"


def test_half_a_point_agrees_however_small_the_spreads():
    exact = Estimate(99.0, 0.0, 10)
    assert judge(Summary(99.5, 0.0, 10, 1e-9), exact)[1:] == ("agrees", "0.5 points")
    assert judge(Summary(99.51, 0.0, 10, 1e-9), exact)[1:] == ("differs", "")


def test_without_a_published_spread_only_ours_counts():
    row = value("m", spread=None, spread_kind=None)
    ours = summarise([90.0, 91.0, 92.0, 93.0, 94.0])
    difference, _, _ = judge(ours, row.estimate)
    assert difference.half_width == pytest.approx(ours.half_width)


def test_agreement_within_a_wide_interval_is_called_so():
    records = [planted("er", seed, shifted(by)) for seed, by in enumerate((-40, 0, 14))]
    (row,) = compare(entry_of(records, reference_of(value("er"))))
    assert row.weak
    assert "agrees:\u00a0wide\u00a0interval" in ledger([entry_of(records, reference_of(value("er")))])
    assert "1 of those that agree do so only within an interval wider than ±5 points" in summary([row])


def value(method: str, setting: str = "domain", **changes) -> Published:
    values = {"id": f"x.{setting}.{method}", "scenario": setting, "method": method, "metric": "final_avg_acc"}
    values |= {"mean": 77.0, "spread": 1.0, "spread_kind": "std", "n": 10, "unit": "percent"}
    return Published(**(values | {"confidence": "primary", "source": "X 2020"} | changes))


def reference_of(*rows: Published, **changes) -> Reference:
    values = {"scenarios": {"domain": "split-digits/domain"}, "scores": {"final_avg_acc": "acc"}}
    values |= {"methods": {row.method: row.method for row in rows}, "protocol": "planted"}
    return Reference(**(values | {"rows": list(rows)} | changes))


def entry_of(records, reference: Reference | None, **grid) -> Entry:
    described = {"kind": "protocol", "source": "X 2020"}
    return Entry(*recorded(records, **(described | grid)), reference)


def test_seeds_that_diverged_make_a_row_differ_and_are_not_averaged_in():
    records = [planted("er", 0), planted("er", 1, shifted(1)), planted("er", 2, status="diverged", error="loss is nan")]
    (row,) = compare(entry_of(records, reference_of(value("er"))))
    assert (row.verdict, row.why) == ("differs", "1 of our 3 seeds diverged")
    assert row.ours.summary.n == 2
    text = ledger([entry_of(records, reference_of(value("er")))])
    assert "split-digits/domain er: seed 2 diverged, left out of the mean" in text
    assert NOT_EXAMINED in text


def test_missing_seeds_are_said_and_a_single_one_is_no_comparison():
    records = [planted("er", 0), planted("er", 1, shifted(1)), planted("ewc", 0)]
    rows = compare(entry_of(records, reference_of(value("er"), value("ewc"), value("joint"))))
    assert [row.verdict for row in rows] == ["agrees", "not run", "not run"]
    assert "a single seed" in rows[1].why
    assert "no published records" in rows[2].why
    assert "er: seed 2 not run yet" in ledger([entry_of(records, reference_of(value("er")))])


def test_a_seed_that_not_all_methods_have_run_still_tells_who_diverged():
    """Seed 2 is left out of published tables until ewc has run it; er diverged there."""
    records = [planted(m, seed, shifted(seed)) for m in ("er", "ewc") for seed in range(2)]
    records += [planted("er", 2, status="diverged", error="loss is nan"), planted("ewc", 2)]
    grid, scan = recorded(records, kind="protocol", source="X 2020")
    scan.published = True
    del scan.records[records[-1].identity]
    entry = Entry(grid, scan, reference_of(value("er"), value("ewc")))
    rows = compare(entry)
    assert [row.why for row in rows if row.verdict == "differs"] == ["1 of our 3 seeds diverged"]
    assert rows[0].ours.remarks == ["seed 2 diverged, left out of the mean"]
    assert rows[1].ours.remarks == ["seed 2 left out until all methods have run it"]


def test_a_spread_over_seeds_is_shown_where_there_is_nothing_to_compare_with():
    records = [planted("er", seed, shifted(by)) for seed, by in enumerate((-40, 0, 14))]
    entry = entry_of(records, None)
    ours = next(ours for ours in unmatched(entry) if ours.method == "er")
    # last row of the planted matrix: 70, 78, 85 of 100
    assert (ours.low, ours.high) == pytest.approx((77.667 - 40, 77.667 + 14), abs=1e-3)
    text = ledger([entry])
    assert "No published values to compare with yet: ours alone." in text
    assert f"{ours.summary.std:.2f}" in text
    assert "37.67\u00a0–\u00a091.67" in text


def test_choices_and_source_of_the_suite_stand_on_the_page():
    entry = entry_of([planted("er", 0)], None, source="X *2020*", choices=["Seeds 0 to 9.", "Half a `batch`."])
    text = ledger([entry])
    assert "Specified by X \\*2020\\*." in text
    assert "- Seeds 0 to 9.\n- Half a \\`batch\\`." in text


# References: the shipped ones, and what is said of broken ones


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        ("hsu2018_splitmnist", 36),
        ("hsu2018_splitmnist_generated", 9),
        ("vdv2022_splitmnist", 23),
        ("der2020_rotmnist", 20),
        ("der2020_permmnist", 2),
        ("vdv2019_splitmnist", 9),
    ],
)
def test_shipped_values_are_whole(protocol, values):
    reference = load_reference(protocol)
    assert len(reference.rows) == values
    assert all(row.source and 0 < row.mean < 100 for row in reference.rows)


@pytest.mark.parametrize("path", sorted(REFERENCES.glob("*.csv")), ids=lambda path: path.stem)
def test_shipped_values_name_what_their_suite_has(path):
    if path.stem not in benchmarks.request.catalogue.suite_names():
        pytest.skip(f"no suite {path.stem} yet")
    assert path.stem in protocol_names()
    load_reference(path.stem).check(load_suite(path.stem))


def broken(folder: Path, csv: tuple[str, str] = ("", ""), ours: tuple[str, str] = ("", "")) -> str:
    """What is said of the golden references after one replacement in each file."""
    for ending, (old, new) in ((".csv", csv), (".yaml", ours)):
        text = (GOLDEN / "references" / f"small{ending}").read_text()
        assert old in text
        (folder / f"small{ending}").write_text(text.replace(old, new, 1))
    with pytest.raises(SettingsError) as error:
        load_reference("small", folder).check(load_suite(SUITE))
    return "\n".join(error.value.problems)


@pytest.mark.parametrize(
    ("csv", "ours", "said"),
    [
        (("84.32", "x"), ("", ""), "line 4: mean: Input should be a valid number"),
        (("0.40,std", "0.40,"), ("", ""), "line 2: give both spread and spread_kind"),
        (("0.40,std", "0.40,sd"), ("", ""), "spread_kind: Input should be 'std' or 'sem'"),
        (("0.40,std,10", "0.40,std,"), ("", ""), "needs n"),
        (("made.class.Joint", "made.task.Joint"), ("", ""), "made.task.Joint stands there 2 times"),
        (('"Nobody 2020, Table 1"', "Nobody 2020, Table 1"), ("", ""), "more values than columns"),
        (("", ""), ("LwF: lwf, ", ""), "no method of ours for published 'LwF'"),
        (("", ""), ("lwf", "lvf"), "'lvf' is not in suite small; did you mean 'lwf'?"),
        (("", ""), ("digits/task", "digit/task"), "did you mean 'split-digits/task'?"),
        (("", ""), ("digits/task", "digits/class"), "'split-digits/class' is class-incremental, published is task"),
        (("", ""), ("Columns: pnn", "Columns: pnn, Colums: pnn"), "'Colums' is not in the .csv"),
        (("", ""), ("acc: acc", "acc: ac"), "'ac' is not in the scores; did you mean 'acc'?"),
        (("", ""), ("[made.class.LwF]", "[made.class.Lw]"), "did you mean 'made.class.LwF'?"),
        (("", ""), ("underspecified protocol", "bad luck"), "notes.0.cause: Input should be"),
        (("", ""), ("Feedback:", "LwF:"), "both `methods` and `not_run`"),
        (("", ""), ("not_run", "notrun"), "did you mean 'not_run'?"),
    ],
)
def test_broken_references_are_refused(tmp_path, csv, ours, said):
    assert said in broken(tmp_path, csv, ours)


def test_one_file_without_the_other_is_refused(tmp_path):
    shutil.copy(GOLDEN / "references" / "small.csv", tmp_path)
    with pytest.raises(SettingsError, match=r"small\.yaml is missing"):
        load_reference("small", tmp_path)


# The verb

PROTOCOL = """
title: a protocol
kind: protocol
source: Doe 2020
seeds: 2
scenarios: {split: {stream: split, data: digits, setting: class, tasks: 5, samples_per_task: 30, sampling: random}}
methods: {finetune: {}, er: {buffer_size: 10}}
model: {hidden: [16]}
training: {epochs: 1, batch_size: 10}
"""
VALUES = """\
id,scenario,method,metric,mean,spread,spread_kind,n,unit,confidence,source,note
doe.None,class,None,acc,20,90,std,10,percent,primary,Doe 2020,
doe.ER,class,ER,acc,101,0,std,10,percent,primary,Doe 2020,
"""
OURS = "{scenarios: {class: split}, methods: {None: finetune, ER: er}, scores: {acc: acc}}"


@pytest.fixture
def where(tmp_path, monkeypatch):
    """Options for a results folder, where the only protocol is one on digits that runs in about a second."""
    for name, text in {"doe2020.yaml": PROTOCOL, "plain.yaml": PROTOCOL.replace("kind: protocol", "")}.items():
        (tmp_path / "suites" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "suites" / name).write_text(text)
    folder = tmp_path / "references"
    folder.mkdir()
    (folder / "doe2020.csv").write_text(VALUES)
    (folder / "doe2020.yaml").write_text(OURS)
    monkeypatch.setattr(benchmarks.request.catalogue, "SUITES", tmp_path / "suites")
    monkeypatch.setattr(benchmarks.ledger.compare, "load_reference", lambda name: load_reference(name, folder))
    return "--results-dir", str(tmp_path / "results")


def invoke(*arguments: str):
    return cli.invoke(app, list(arguments))


def recommit(results: Path, *commits: str) -> None:
    """Says of the records of doe2020 that they were made at `commits`, in turn."""
    store = Store(results / "runs/doe2020")
    for k, record in enumerate(store.scan().records.values()):
        environment = record.environment | {"commit": commits[k % len(commits)]}
        store.save(record.model_copy(update={"environment": environment}))


def test_reproduce_publishes_what_is_run_and_compares(where, tmp_path):
    results = tmp_path / "results"
    page = results / "published" / FILE
    for cell in make_grid(load_suite("doe2020")).cells:
        Store(results / "runs/doe2020").save(run_cell(cell))

    recommit(results, "abc+dirty")
    refused = invoke("reproduce", *where)
    assert refused.exit_code == 1
    assert "run from a clean git checkout" in refused.output
    assert "your own runs: 2 published cells: 2 compared, 1 agree (50.0%), 1 differ, 0 not run." in refused.output
    assert "committed records: 2 published cells: 0 compared, 0 agree, 0 differ, 2 not run." in refused.output

    recommit(results, "abc", "def")
    assert "publish with --several-commits" in invoke("reproduce", "doe2020", *where).output
    done = invoke("reproduce", "doe2020", *where, "--several-commits")
    assert done.exit_code == 0, done.output
    assert "4 done, 0 to run" in done.output
    assert "committed records: 2 published cells: 2 compared, 1 agree (50.0%), 1 differ, 0 not run." in done.output
    assert "differs: doe.ER" in done.output
    assert "abc (2 runs); def (2 runs)" in page.read_text()

    listed = invoke("reproduce", "--list", *where)
    assert listed.output.splitlines()[2].split() == ["doe2020", "4", "4", "2", "a", "protocol"]

    written = page.read_bytes()
    page.unlink()
    assert invoke("reproduce", "--render-only", *where).exit_code == 0
    assert page.read_bytes() == written
    page.unlink()
    assert "ledger:" in invoke("publish", "doe2020", *where, "--several-commits").output
    assert page.read_bytes() == written

    records = results / "published/doe2020/records.jsonl"
    records.write_text("{\n" + records.read_text())
    with pytest.raises(SettingsError, match=r"doe2020/records\.jsonl:1: no JSON document"):
        cli.invoke(app, ["reproduce", "--render-only", *where], catch_exceptions=False)


def test_part_of_a_protocol_is_run_and_compared_but_not_published(where, tmp_path):
    done = invoke("reproduce", "doe2020", *where, "--methods", "er", "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "your own runs: 2 published cells: 1 compared, 0 agree (0.0%), 1 differ, 1 not run." in done.output
    assert not (tmp_path / "results/published/doe2020").exists()


def test_a_dry_run_runs_nothing_and_writes_nothing(where, tmp_path):
    assert "cells: 4 missing" in invoke("reproduce", *where, "--dry-run").output
    assert "split er seed 1" in invoke("reproduce", *where, "--dry-run", "-v").output
    assert not (tmp_path / "results").exists()


def test_unknown_protocols_are_named_with_the_nearest(where):
    with pytest.raises(SettingsError) as error:
        cli.invoke(app, ["reproduce", "doe2002", "plain", *where], catch_exceptions=False)
    assert error.value.problems == [
        "unknown protocol 'doe2002'; did you mean 'doe2020'?",
        "unknown protocol 'plain'; it is a suite but no protocol: `run` it",
    ]


def test_references_that_do_not_fit_the_suite_stop_before_anything_runs(where, tmp_path):
    (tmp_path / "references/doe2020.yaml").write_text(OURS.replace("ER: er", "ER: err"))
    with pytest.raises(SettingsError, match="did you mean 'er'"):
        cli.invoke(app, ["reproduce", *where], catch_exceptions=False)
    assert not (tmp_path / "results").exists()


# What is committed


def committed() -> bool:
    return any((COMMITTED / name / "records.jsonl").is_file() for name in protocol_names())


@pytest.mark.skipif(not committed(), reason="no protocol is published yet")
def test_the_committed_ledger_is_the_one_of_the_committed_records():
    text = ledger(entries_of(COMMITTED.parent, published=True), order_entries(COMMITTED.parent, published=True))
    assert text.encode() == (COMMITTED / FILE).read_bytes()


@pytest.mark.skipif(not committed(), reason="no protocol is published yet")
def test_the_committed_ledger_holds_what_is_asked_of_it():
    rows = [row for entry in entries_of(COMMITTED.parent, published=True) for row in compare(entry)]
    compared = [row for row in rows if row.verdict != "not run"]
    assert len(compared) >= 40
    assert sum(row.verdict == "agrees" for row in compared) >= 0.85 * len(compared)


@pytest.mark.parametrize(
    ("protocol", "near_chance", "replay"),
    [
        ("hsu2018_splitmnist", ["ewc", "online-ewc", "si"], ["rehearsal-1100", "rehearsal-4400", "gem-1100"]),
        ("vdv2022_splitmnist", ["ewc", "si"], ["er", "dgr"]),
    ],
)
@pytest.mark.skipif(not committed(), reason="no protocol is published yet")
def test_without_replay_classes_are_forgotten_and_with_it_they_are_not(protocol, near_chance, replay):
    records = PublishedStore(COMMITTED / protocol).scan().records.values()
    accuracy = {}
    for record in records:
        if record.scenario == "split-mnist/class":
            accuracy.setdefault(record.method, []).append(score("acc", record.matrix.matrix()))
    mean = {method: sum(values) / len(values) for method, values in accuracy.items()}
    # chance: the two classes of the last task of ten, all right
    assert all(0.19 < mean[method] < 0.25 for method in near_chance), mean
    assert all(mean[method] > 0.85 for method in replay), mean


@pytest.mark.skipif(not committed(), reason="no protocol is published yet")
def test_every_committed_row_that_differs_is_examined():
    entries = [entry for entry in entries_of(COMMITTED.parent, published=True) if entry.reference]
    unexamined = [
        row.published.id
        for entry in entries
        for row in compare(entry)
        if row.verdict == "differs" and entry.reference.note(row.published) is None
    ]
    assert unexamined == []


if __name__ == "__main__":
    (GOLDEN / FILE).write_text(ledger(golden_entries(RECORDS.scan())))
