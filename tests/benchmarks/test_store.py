"""Records on disk: whole or absent, checked when read."""

import gc
import json
import multiprocessing
import os

import pytest

from benchmarks.cell.run import run_cell
from benchmarks.records.store import Store, uncollected
from benchmarks.request.errors import SettingsError
from tests.benchmarks.helpers import cells


@pytest.fixture(scope="module")
def record():
    return run_cell(cells("finetune")[0])


def test_round_trip(tmp_path, record):
    store = Store(tmp_path)
    path = store.save(record)
    assert store.scan().records == {record.identity: record}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_record_has_what_readers_rely_on(record):
    document = json.loads(record.to_json())
    assert document["status"] == "done"
    tasks = len(document["scenario_manifest"]["classes"])
    for counts in (document["matrix"]["correct"], document["matrix"]["total"]):
        assert len(counts) == tasks + 1
        assert all(len(row) == tasks for row in counts)
    assert len(document["flops"]["inference"]) == tasks
    assert document["flops"]["training"] == sum(document["flops"]["parts"].values()) > 0
    assert {"train", "evaluate", "total"} <= set(document["seconds"])
    assert len(document["parameters"]) == len(document["memory"]["stored_bytes"]) == tasks
    assert {"commit", "versions", "hardware", "threads"} <= set(document["environment"])
    assert {"scenario", "method", "model", "training", "seed"} == set(document["settings"])
    assert document["identity"]


def test_broken_and_foreign_files_are_named_and_skipped(tmp_path, record):
    store = Store(tmp_path)
    good = store.save(record)
    text = good.read_text()
    (tmp_path / "truncated.json").write_text(text[: len(text) // 2])
    (tmp_path / "foreign.json").write_text('{"name": "package", "version": "1.0"}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    edited = json.loads(text)
    edited["settings"]["training"]["epochs"] = 99
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    impossible = json.loads(text)
    impossible["matrix"]["correct"][-1][0] = 10**6
    (tmp_path / "impossible.json").write_text(json.dumps(impossible))
    scan = store.scan()
    assert list(scan.records) == [record.identity]
    named = "\n".join(scan.problems)
    for name in ("truncated", "foreign", "list", "binary", "edited", "impossible"):
        assert f"{name}.json" in named
    assert len(scan.problems) == 6


def test_nothing_half_written_where_writing_fails(tmp_path, record, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Store(tmp_path).save(record)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_results_are_said_before_training(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match="cannot write records"):
        Store(file / "runs").check_writable(3)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="cannot write records"):
        Store(tmp_path / "link").check_writable(3)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("U", (), {"free": 100_000})())
    with pytest.raises(SettingsError, match="MiB free"):
        Store(tmp_path / "runs").check_writable(1000)


def test_a_done_record_beats_a_failed_one_of_the_same_cell(tmp_path, record):
    store = Store(tmp_path)
    store.save(record)
    failed = record.model_copy(update={"status": "failed", "error": "boom"})
    (tmp_path / "zz.json").write_text(failed.to_json())
    assert store.scan().records[record.identity].status == "done"


def test_a_failed_record_never_replaces_one_of_a_run_that_ended(tmp_path, record):
    store = Store(tmp_path)
    failed = record.model_copy(update={"status": "failed", "error": "boom"})
    diverged = record.model_copy(update={"status": "diverged", "error": "loss nan"})
    store.save(failed)
    assert store.find(record) == failed
    for ended in (diverged, record):
        store.save(ended)
        store.save(failed)
        assert store.find(record) == ended
    store.path(record).write_text("{")  # one that is broken does not count
    store.save(failed)
    assert store.find(record) == failed


def test_a_failed_record_is_kept_beside_one_of_a_run_that_ended(tmp_path, record):
    store = Store(tmp_path)
    failed = record.model_copy(update={"status": "failed", "error": "boom"})
    store.save(record)
    assert store.save(failed) == store.failure(record)
    assert store.failures() == {record.identity: failed}
    assert store.scan().records == {record.identity: record}
    store.save(record)
    assert store.failures() == {}
    store.save(failed)
    store.path(record).unlink()
    store.save(failed)  # now it is the cell's only record
    assert (store.failures(), store.find(record)) == ({}, failed)


def test_a_record_takes_the_place_of_those_of_its_cell_under_other_names(tmp_path, record):
    """A method that was called otherwise in its suite: what it left once would be found before what it left now."""
    store = Store(tmp_path)
    old, new = (record.model_copy(update={"method": name, "steps": len(name)}) for name in ("a", "new"))
    other = record.model_copy(update={"identity": record.identity[:12] + "0" * 52})
    store.save(old)
    broken, foreign = (tmp_path / store.path(record).name.replace("finetune", name) for name in ("broken", "other"))
    broken.write_text("{")
    foreign.write_text(json.dumps(other.document()))
    failed = new.model_copy(update={"status": "failed", "error": "boom"})
    store.save(failed)
    assert store.scan().records == {record.identity: old}
    store.save(new)
    assert store.scan().records == {record.identity: new}
    assert sorted(tmp_path.glob("*.json")) == sorted([broken, foreign, store.path(new)])


def test_a_test_of_writing_leaves_nothing_even_where_it_is_killed(tmp_path, monkeypatch):
    Store(tmp_path / "results" / "runs").check_writable(1)  # whose folders are not there
    Store(tmp_path).check_writable(1)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), 9))
    process = multiprocessing.get_context("fork").Process(target=lambda: Store(tmp_path).check_writable(1))
    process.start()
    process.join()
    assert len(list(tmp_path.iterdir())) == 1
    Store(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == []


def test_garbage_is_looked_for_again_after_records_are_read(tmp_path, record):
    store = Store(tmp_path)
    store.save(record)
    looking = []
    with uncollected():
        looking.append(gc.isenabled())
        with uncollected():  # one scan within another
            pass
        looking.append(gc.isenabled())
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert [*looking, gc.isenabled()] == [False, False, True]
    assert (len(store.scan().records), gc.isenabled()) == (1, True)
