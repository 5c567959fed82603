"""Whose tables a command writes: the whole suite's, a selection's, or a reader's view of what is committed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.records.published import PublishedStore
from benchmarks.records.recorded import tables_folder
from benchmarks.records.store import Store
from benchmarks.report import plots
from benchmarks.report.plots import figures
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from tests.benchmarks.helpers import suite_file
from tests.benchmarks.test_report_fixtures import planted_cell

SCENARIOS = "split: {stream: split, data: digits, tasks: 2, settings: [domain, class]}"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with the records of a suite, twice: as your own and as published."""
    suite = suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 20}, lwf: {}}", SCENARIOS, seeds=2)
    results = tmp_path / "results"
    records = [planted_cell(cell) for cell in make_grid(load_suite(str(suite))).cells]
    for record in records:
        Store(results / "runs/tiny").save(record)
    PublishedStore(results / "published/tiny").save(records)
    return results


def report(results, *arguments: str):
    suite = results.parent / "tiny.yaml"
    done = CliRunner().invoke(app, ["report", str(suite), "--results-dir", str(results), *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_selection_leaves_the_suite_s_tables_and_plots_alone(results, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"cost": figures.FIGURES["cost"]})  # one is enough, and quick
    report(results)
    whole = {k: v for k, v in contents(results / "leaderboards").items() if k != "index.html"}
    assert any("split.class" in name for name in whole)
    chosen = "--methods", "er,finetune", "--scenarios", "split/class"
    report(results, *chosen)
    report(results, "--set", "training.epochs=2", "--no-plots")
    report(results, *chosen[:2], "--as", "mammoth")
    after = contents(results / "leaderboards")
    assert {name: after[name] for name in whole} == whole
    # and has its own, linked to each other
    folder = tables_folder(results, load_suite(str(results.parent / "tiny.yaml"), ["er", "finetune"], ["split/class"]))
    page = (folder / "tiny-selection.plots.md").read_text()
    assert "(tiny-selection.md)" in page
    assert "only scenarios split/class; methods er, finetune" in page
    linked = [part.split(")")[0] for part in page.split("![")[1:] for part in part.split("](")[1:2]]
    assert linked
    assert all((folder / link).is_file() for link in linked)
    assert not any("domain" in name for name in contents(folder))


def test_a_reader_s_view_of_published_records_leaves_them_as_committed(results, monkeypatch):
    monkeypatch.setattr(plots, "write_plots", lambda grid, scan, folder, counted=None, png=False: [folder])
    report(results, "--published")
    committed = contents(results / "published")
    assert {"tiny/tiny.md", "tiny/tiny.csv", "index.html"} <= set(committed)
    report(results)
    own = contents(results / "leaderboards")
    for view in (["--metrics", "acc,bwt.diaz"], ["--as", "mammoth"], ["--methods", "er"], ["--seeds", "1"]):
        said = report(results, "--published", *view)
        assert "leaderboards/tiny@published" in said
        assert contents(results / "published") == committed
    after = contents(results / "leaderboards")
    assert {name: after[name] for name in own} == own
    # while whoever keeps the committed tables renders them anew
    (results / "published/tiny/tiny.md").write_text("old")
    report(results, "--published")
    assert contents(results / "published") == committed


def test_png_only_where_it_is_asked_for(results, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"cost": figures.FIGURES["cost"]})
    images = results / "leaderboards/tiny.plots"
    report(results)
    vector = {path.name for path in images.iterdir()}
    assert vector == {"split.class.cost.svg", "split.domain.cost.svg"}
    report(results, "--png")
    assert {path.name for path in images.iterdir()} == vector | {"split.class.cost.png", "split.domain.cost.png"}
    assert (images / "split.class.cost.png").read_bytes().startswith(b"\x89PNG")
    report(results)  # none is left that shows older records
    assert {path.name for path in images.iterdir()} == vector


def test_a_published_record_of_another_method_is_named_and_left_out(results):
    store = PublishedStore(results / "published/tiny")
    er = next(r for r in store.scan().records.values() if r.method == "er" and r.seed == 0)
    (record,) = [r for r in store.scan().records.values() if (r.scenario, r.method, r.seed) == (er.scenario, "lwf", 0)]
    others = [r for r in store.scan().records.values() if r not in (record, er)]
    store.save([*others, er.model_copy(update={"scenario": record.scenario, "method": "lwf2"})])
    suite = results.parent / "tiny.yaml"
    suite.write_text(suite.read_text().replace("lwf: {}", "lwf2: {method: lwf}"))
    said = report(results, "--published", "--no-plots")
    assert f"skipped the record of {record.scenario} lwf2 seed 0: it is of method 'er'" in said
