"""Damaged records, one kind at a time: each is named with what is wrong, and takes nothing else with it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cell.run import failed_record, run_cell
from benchmarks.cli.app import app
from benchmarks.gate.champion import find_challenger
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import RecordError, RunRecord
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.identity import identity_of
from methods.core import hyperparameters
from tests.benchmarks.helpers import cells
from tests.benchmarks.test_report_fixtures import planted

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def real():
    """A class-incremental record of five tasks, with counts under the other reading."""
    return run_cell(cells("er", changes=["methods.er.buffer_size=20"])[0])


def put(*path_and_value):
    *path, last, value = path_and_value

    def change(document):
        for key in path:
            document = document[key]
        document[last] = value

    return change


def drop(*path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def resettled(*changes):
    """Changes of settings after which the identity is right again: the hash alone does not find them."""

    def change(document):
        for one in changes:
            one(document)
        try:
            document["identity"] = identity_of(document["settings"])
        except (AttributeError, TypeError):
            pass  # settings that cannot even be hashed

    return change


def both(*changes):
    return lambda document: [change(document) for change in changes]


def all_right(document):
    document["matrix"]["correct"] = copy.deepcopy(document["matrix"]["total"])
    document["matrix"]["correct"][0] = document["matrix"]["total"][0] = document["scenario_manifest"]["test_sizes"]


def two_tasks(document):
    for part in ("matrix", "matrix_other"):
        for kind in ("correct", "total"):
            document[part][kind] = [row[:2] for row in document[part][kind][:3]]


def totals_of_one(document):
    for part in ("matrix", "matrix_other"):
        for kind in ("correct", "total"):
            document[part][kind] = [[None if n is None else 1 for n in row] for row in document[part][kind]]


def last_row_empty(document):
    for kind in ("correct", "total"):
        document["matrix"][kind][-1] = [None] * 5


M, OTHER, S = "matrix", "matrix_other", "settings"

DAMAGE = {
    "version": (put("record_version", 2), "not a record of version 1"),
    "version true": (put("record_version", True), "not a record of version 1"),
    "version 1.0": (put("record_version", 1.0), "not a record of version 1"),
    "scenario number": (resettled(put(S, "scenario", 3)), "settings: scenario"),
    "method list": (resettled(put(S, "method", [])), "settings: method"),
    "method name mapping": (resettled(put(S, "method", "name", {})), "settings: method.name"),
    "method settings number": (resettled(put(S, "method", "settings", 3)), "settings: method.settings"),
    "settings list": (put(S, []), "settings"),
    "settings without training": (resettled(drop(S, "training")), "settings: training"),
    "settings with more": (resettled(put(S, "more", {})), "settings: more"),
    "model string": (resettled(put(S, "model", "mlp")), "settings: model"),
    "head unknown": (resettled(put(S, "model", "head", "hydra")), "unknown head 'hydra'"),
    "head of another setting": (resettled(put(S, "model", "head", "multi")), "does not fit"),
    "training empty": (resettled(put(S, "training", {})), "settings: training.epochs"),
    "optimizer number": (resettled(put(S, "training", "optimizer", 1)), "settings: training.optimizer"),
    "rate string": (resettled(put(S, "training", "optimizer", "lr", "0.1")), "training.optimizer.lr"),
    "setting unknown": (resettled(put(S, "scenario", "setting", "online")), "scenario.setting"),
    "tasks string": (resettled(put(S, "scenario", "tasks", "5")), "scenario.tasks"),
    "tasks other": (resettled(put(S, "scenario", "tasks", 4)), "its settings say 4 tasks"),
    "buffer beyond 64 bits": (resettled(put(S, "method", "settings", "buffer_size", 2**70)), "beyond 64 bits"),
    "edited": (put(S, "training", "epochs", 99), "do not hash to its identity"),
    "seed at the top": (put("seed", 3), "seed 3, its settings say 0"),
    "seed in settings": (resettled(put(S, "seed", 3)), "seed 0, its settings say 3"),
    "seed string": (put("seed", "0"), "seed"),
    "method at the top": (put("method", "gem"), "method gem, its settings say 'er'"),
    "method a path": (put("method", "../../evil"), "is no name of a method"),
    "method too long": (put("method", "x" * 240), "of 240 characters"),
    "scenario a path": (put("scenario", "../../evil"), "is no name of a scenario"),
    "scenario of another setting": (put("scenario", "split-digits/task"), "its settings say setting class"),
    "counts true": (put(M, "correct", 1, 0, True), "matrix.correct.1.0"),
    "counts strings": (put(M, "correct", 1, 0, "50"), "matrix.correct.1.0"),
    "counts 3.0": (put(M, "correct", 1, 0, 3.0), "matrix.correct.1.0"),
    "counts of 2**70": (both(put(M, "correct", 1, 0, 2**70), put(M, "total", 1, 0, 2**70)), "matrix.correct.1.0"),
    "counts below 0": (put(M, "correct", 1, 0, -1), "matrix.correct.1.0"),
    "counts above totals": (put(M, "correct", 5, 1, 5000), "row 5, task 2: 5000 correct of"),
    "correct without total": (put(M, "total", 5, 1, None), "row 5, task 2"),
    "ragged": (put(M, "correct", 1, [1, None]), "row 1: 2 correct"),
    "no rows": (put(M, {"correct": [], "total": []}), "at least 2"),
    "matrix of two tasks": (two_tasks, "matrix: 2 tasks, its settings say 5"),
    "totals of one": (totals_of_one, "a total of 1, its test set has"),
    "one total other": (put(M, "total", 5, 1, 400), "row 5, task 2: a total of 400, its test set has"),
    "all right": (all_right, "had no outputs yet"),
    "last row missing": (last_row_empty, "row 5, task 1: no count"),
    "other ragged": (put(OTHER, "correct", 5, [1]), "matrix_other: row 5"),
    "other above totals": (put(OTHER, "correct", 5, 1, 5000), "matrix_other: row 5, task 2: 5000 correct of"),
    "other missing row": (both(put(OTHER, "correct", 5, [None] * 5), put(OTHER, "total", 5, [None] * 5)), "matrix_other, row 5"),
    "other without view": (put("matrix_other_view", None), "go together"),
    "view unknown": (put("matrix_other_view", "blind"), "matrix_other_view"),
    "seconds below 0": (put("seconds", "train", -5.0), "seconds.train"),
    "seconds true": (put("seconds", "train", True), "seconds.train"),
    "seconds without total": (drop("seconds", "total"), "seconds.total is missing"),
    "steps string": (put("steps", "10"), "steps"),
    "flops of four tasks": (put("flops", "inference", [1, 2, 3, 4]), "flops.inference has 4 entries for 5 tasks"),
    "parameters of no task": (put("parameters", []), "parameters has 0 entries"),
    "parameters without total": (put("parameters", 4, {"trainable": 5}), "parameters has an entry without total"),
    "bytes of six tasks": (put("memory", "stored_bytes", [{}] * 6), "memory.stored_bytes has 6 entries"),
    "bytes below 0": (put("memory", "peak_bytes", -1), "memory.peak_bytes"),
    "diagnostics of one task": (put("diagnostics", [{"exemplars": 1.0}]), "diagnostics has 1 entries"),
    "test sizes other": (put("scenario_manifest", "test_sizes", [1] * 5), "its test set has 1 images"),
    "test sizes of two": (put("scenario_manifest", "test_sizes", [1, 1]), "test_sizes has 2 entries"),
    "classes number": (put("scenario_manifest", "classes", 5), "scenario_manifest: classes"),
    "manifest empty": (put("scenario_manifest", {}), "data_checksum is missing"),
    "versions number": (put("environment", "versions", 3), "environment: versions"),
    "commit list": (put("environment", "commit", []), "environment: commit"),
    "environment list": (put("environment", []), "environment"),
    "status unknown": (put("status", "fine"), "status"),
    "identity number": (put("identity", 5), "identity"),
    "field unknown": (put("surprise", 1), "surprise"),
    "field missing": (drop("flops"), "flops"),
}  # fmt: skip

TEXT = {
    "empty": (lambda text: "", "no JSON document"),
    "cut off": (lambda text: text[: len(text) // 2], "no JSON document"),
    "binary": (lambda text: b"\xff\xfe\x00", "no JSON document"),
    "list": (lambda text: "[1, 2]", "not a record"),
    "foreign": (lambda text: '{"name": "package", "version": "1.0"}', "not a record"),
    "deep": (lambda text: '{"record_version": ' + "[" * 50_000 + "]" * 50_000 + "}", "recursion limit"),
    "surrogate": (lambda text: text.replace('"error": null', '"error": "\\ud800"'), "no JSON document"),
    "NaN": (lambda text: text.replace('"steps":', '"seconds": NaN, "steps":'), "no JSON document"),
    "infinite": (lambda text: text.replace('"record_version": 1', '"record_version": 1e999'), "not a record"),
    "long number": (lambda text: text.replace('"steps":', '"steps": ' + "9" * 5000 + ', "x":'), "no JSON document"),
}


def damaged(record: RunRecord, name: str) -> str | bytes:
    if name in TEXT:
        return TEXT[name][0](record.to_json())
    document = json.loads(record.to_json())
    DAMAGE[name][0](document)
    return json.dumps(document)


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("name", [*DAMAGE, *TEXT])
def test_damage_is_named(real, name):
    assert RunRecord.from_json(real.to_json()) == real
    content = damaged(real, name)
    assert content != real.to_json()
    with pytest.raises(RecordError) as error:
        RunRecord.from_json(content)
    assert {**DAMAGE, **TEXT}[name][1] in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_every_verb_names_and_survives_them(tmp_path, real):
    store = Store(tmp_path / "runs" / "digits")
    suite = ["digits", "--methods", "er", "--scenarios", "split-digits/class", "--seeds", "1"]
    suite += [part for change in ("training.epochs=1", "scenario.samples_per_task=60", "model.hidden=[16]",
                                  "methods.er.buffer_size=20") for part in ("--set", change)]  # fmt: skip
    store.save(real)
    for name in (*DAMAGE, *TEXT):
        write(store.folder / f"{name}.json", damaged(real, name))
    (store.folder / "a folder.json").mkdir()
    assert list(store.scan().records) == [real.identity]
    for arguments in (["status", *suite], ["report", *suite, "--no-plots"], ["guide"]):
        done = CliRunner().invoke(app, [*arguments, "--results-dir", str(tmp_path)])
        assert done.exit_code == 0, done.output
        for name in (*DAMAGE, *TEXT, "a folder"):
            assert done.output.count(f"/{name}.json: ") == 1, name
    with pytest.raises(SettingsError) as error:  # a folder of which a part is not believed is not judged
        find_challenger(str(store.folder))
    assert len(error.value.problems) == len(DAMAGE) + len(TEXT) + 1


def test_an_untrained_network_that_is_always_right_is_not_believed():
    perfect = planted("er", 0, [[100] * 3] * 4)
    with pytest.raises(RecordError, match="row 0: every answer of the untrained network is right"):
        RunRecord.from_json(perfect.to_json())
    # learned to perfection is possible, and so is a task of one class, where any answer is right
    for fine in (
        planted("er", 0, [[50, 40, 60], *[[100] * 3] * 3]),
        perfect.model_copy(update={"scenario_manifest": perfect.scenario_manifest | {"classes": [[0]] * 3}}),
    ):
        assert RunRecord.from_json(fine.to_json()) == fine


def test_a_row_may_lack_what_the_record_explains():
    rows = [[None] * 3, [None] * 3, [None] * 3, [70, 78, 85]]
    late = planted("er", 0, rows, not_evaluated={"earlier rows": "answers at the end"})
    assert RunRecord.from_json(late.to_json()) == late
    for explained in ({}, {"unseen tasks": "no outputs"}):
        with pytest.raises(RecordError, match=r"row (0|1), task 1: no count, though the run is done"):
            RunRecord.from_json(planted("er", 0, rows, not_evaluated=explained).to_json())
    ended = planted("er", 0, rows, status="diverged")
    assert RunRecord.from_json(ended.to_json()) == ended


def test_the_traceback_of_a_failed_cell_is_kept_whatever_is_in_it():
    record = failed_record(cells("er")[0], "OSError: no file \udce9t\udce9.png", 1.0)
    read = RunRecord.from_json(record.to_json())
    assert read == record
    assert read.error == r"OSError: no file \udce9t\udce9.png"


def test_every_published_record_is_believed_and_reading_builds_no_model_twice(monkeypatch):
    built = []
    make = hyperparameters.create_model
    monkeypatch.setattr(
        hyperparameters, "create_model", lambda name, **kwargs: built.append(name) or make(name, **kwargs)
    )
    total = 0
    for file in sorted(ROOT.glob("results/published/*/records.jsonl")):
        scan = PublishedStore(file.parent).scan()
        assert scan.problems == []
        assert len(scan.records) == len(file.read_bytes().splitlines())
        total += len(scan.records)
    assert total >= 1496
    assert len(built) == len(set(built))
