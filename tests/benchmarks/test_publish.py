"""Publishing: whole or not at all, inside its folder, of one data set a scenario."""

from __future__ import annotations

import pytest

from benchmarks.cli import publish as command
from benchmarks.cli.asked import Asked
from benchmarks.records.matching import matched_by_name
from benchmarks.records.publishable import Allowed
from benchmarks.records.published import PublishedStore
from benchmarks.records.results import results_of
from benchmarks.records.store import Scan
from benchmarks.report import publish
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.markdown import markdown
from benchmarks.report.publish import publish_suite
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.identity import identity_of
from benchmarks.request.load import load_suite
from tests.benchmarks.helpers import suite_file
from tests.benchmarks.test_report_fixtures import planted_cell


@pytest.fixture
def grid(tmp_path):
    return make_grid(load_suite(str(suite_file(tmp_path, "{finetune: {}, er: {buffer_size: 10}}", seeds=2))))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(publish, "write_plots", lambda *_: [])


def scan_of(grid, **changes) -> Scan:
    return Scan({cell.identity: planted_cell(cell, **changes) for cell in grid.cells})


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_suite_takes_the_place_of_its_older_self_and_of_nothing_else(grid, tmp_path):
    published = tmp_path / "published"
    (published / "other").mkdir(parents=True)
    (published / "other" / "other.md").write_text("kept")
    (published / "guide.md").write_text("kept")
    (published / "tiny").mkdir()
    (published / "tiny" / "old.md").write_text("gone")
    folder = publish_suite(grid, scan_of(grid), published)
    assert folder == published / "tiny"
    assert len((folder / "records.jsonl").read_text().splitlines()) == 4
    assert "old.md" not in contents(folder)
    assert sorted(p.name for p in published.iterdir()) == ["guide.md", "other", "tiny"]
    assert contents(published / "other") == {"other.md": b"kept"}


@pytest.mark.parametrize("step", ["write_report", "write_plots"])
def test_where_it_fails_the_old_one_stays(grid, tmp_path, monkeypatch, step):
    published = tmp_path / "published"
    before = contents(publish_suite(grid, scan_of(grid), published))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish, step, full)
    with pytest.raises(OSError, match="No space left"):
        publish_suite(grid, scan_of(grid, seconds={"total": 9.0}), published)
    assert contents(published / "tiny") == before
    assert [p.name for p in published.iterdir()] == ["tiny"]


def test_records_of_different_data_are_not_published_together(grid, tmp_path):
    scan = scan_of(grid)
    record = scan.records[grid.cells[0].identity]
    manifest = record.scenario_manifest | {"data_checksum": "0ther"}
    scan.records[record.identity] = record.model_copy(update={"scenario_manifest": manifest})
    with pytest.raises(SettingsError, match=r"split: records of different data \(checksums 0ther, c0ffee\)"):
        publish_suite(grid, scan, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def without(scan: Scan, *cells: tuple[str, int]) -> Scan:
    """`scan` without the records of these methods and seeds."""
    return Scan({id: r for id, r in scan.records.items() if (r.method, r.seed) not in cells})


def test_a_seed_that_a_method_has_yet_to_run_is_kept_and_left_out_of_the_tables(grid, tmp_path):
    sentence = "Seed 1 has been run by 1 of 2 methods; it is left out until all have run it."
    begun = without(scan_of(grid), ("er", 1))
    with pytest.raises(SettingsError, match="er seed 1: missing"):
        publish_suite(grid, begun, tmp_path)
    folder = publish_suite(grid, begun, tmp_path, Allowed(partial=True))
    assert len((folder / "records.jsonl").read_text().splitlines()) == 3
    published = matched_by_name(grid, PublishedStore(folder).scan())
    assert markdown(make_leaderboard(results_of(grid, published))) == (folder / "tiny.md").read_text()
    text = (folder / "tiny.md").read_text()
    assert f"n = 1 seed of 2 asked for in every row: no interval, and nothing is ranked. {sentence}" in text
    assert "not run" not in text
    (runs,) = results_of(grid, published).runs
    assert runs.values("acc") == {"finetune": {0: 0.5}, "er": {0: 0.5}}
    # one's own table shows all there is
    assert sentence not in markdown(make_leaderboard(results_of(grid, begun)))
    assert len(results_of(grid, begun).frame) == 3
    text = (publish_suite(grid, scan_of(grid), tmp_path) / "tiny.md").read_text()
    assert "n = 2 seeds in every row" in text
    assert "left out" not in text


def test_where_no_seed_is_whole_all_there_is_is_published(grid, tmp_path):
    folder = publish_suite(grid, without(scan_of(grid), ("er", 0), ("er", 1)), tmp_path, Allowed(partial=True))
    text = (folder / "tiny.md").read_text()
    assert "not every row has them all" in text
    assert "left out" not in text


def test_records_of_different_hardware_are_published_when_that_is_asked_for(grid, tmp_path):
    scan = scan_of(grid)
    (other,) = [r for r in scan.records.values() if (r.method, r.seed) == ("er", 1)]
    environment = other.environment | {"hardware": "another machine"}
    scan.records[other.identity] = other.model_copy(update={"environment": environment})
    with pytest.raises(SettingsError, match=r"different hardware \(another machine; test machine\), so their times"):
        publish_suite(grid, scan, tmp_path)
    text = (publish_suite(grid, scan, tmp_path, Allowed(several_machines=True)) / "tiny.md").read_text()
    assert "another machine (1 runs); test machine (3 runs). WARNING: times do not compare" in text
    assert "on test machine: does not compare with times on other hardware" in text
    assert "on another machine and test machine: does not compare with times on other hardware" in text
    assert "on other hardware" not in (publish_suite(grid, scan_of(grid), tmp_path) / "tiny.md").read_text()


@pytest.mark.parametrize("epochs", [2, 3, 4, 5])
def test_of_two_records_of_the_same_names_that_of_todays_settings_counts_and_the_other_is_named(grid, tmp_path, epochs):
    """As a merge of two branches leaves them that both published. Which comes first is as good as chance."""
    store, ours = PublishedStore(tmp_path), scan_of(grid).records
    cell = grid.cells[0]
    settings = cell.identity_settings()
    settings = settings | {"training": settings["training"] | {"epochs": epochs}}
    other = planted_cell(cell, settings=settings, identity=identity_of(settings))
    store.save([*ours.values(), other])
    stored = store.scan()
    found = matched_by_name(grid, stored)
    assert {i: r.identity for i, r in found.records.items()} == {i: i for i in ours}
    assert found.problems == [
        f"skipped the record of {cell.label} at {stored.places[other.identity]}: it has the same scenario, method and "
        f"seed as {stored.places[cell.identity]}"
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "../runs", "a/b"])
def test_a_suite_s_folder_lies_inside(grid, tmp_path, name):
    published = tmp_path / "published"
    before = contents(publish_suite(grid, scan_of(grid), published))
    path_named = grid.suite.model_copy(update={"name": name})
    with pytest.raises(ValueError, match="no name of a suite"):
        publish_suite(type(grid)(path_named, grid.cells, {}), scan_of(grid), published)
    assert contents(published / "tiny") == before


@pytest.mark.parametrize("name", ["cifar100-lite", "vdv2019_splitmnist", "digits"])
def test_the_ledger_is_renewed_with_every_suite_that_it_shows(name, tmp_path, monkeypatch):
    """cifar100-lite is no protocol, but its order of methods stands there."""
    renewed = []
    monkeypatch.setattr("benchmarks.report.publish.publish_suite", lambda *_: tmp_path)
    for page in ("overview.write_index", "overview.write_guide"):
        monkeypatch.setattr(f"benchmarks.report.{page}", lambda *_, **__: None)
    monkeypatch.setattr(
        "benchmarks.ledger.render.write_ledger", lambda *_, **__: renewed.append(name) or (tmp_path, [])
    )
    command.publish_suite(Asked(name, results_dir=tmp_path))
    assert renewed == ([] if name == "digits" else [name])
