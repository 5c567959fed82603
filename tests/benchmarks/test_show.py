"""`show`: which record is meant, and what is printed of it at any width."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from benchmarks.cell.run import failed_record, run_cell
from benchmarks.cli.app import app
from benchmarks.cli.record_text import BARS, text_of
from benchmarks.records.find import find
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Counts
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from metrics import AccuracyMatrix
from tests.benchmarks.helpers import cells

ROOT = Path(__file__).resolve().parents[2]
CLASS, TASK = "split-digits/class", "split-digits/task"


@pytest.fixture(scope="module")
def records():
    found = {}
    for scenario in (CLASS, TASK):
        for cell in cells("er", "finetune", scenarios=(scenario,), seeds=2):
            found[scenario, cell.method_name, cell.seed] = run_cell(cell)
    return found


@pytest.fixture(scope="module")
def results(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for record in records.values():
        Store(folder / "runs" / "digits").save(record)
    Store(folder / "runs" / "other").save(records[CLASS, "er", 0])
    PublishedStore(folder / "published" / "digits").save(list(records.values())[:3])
    return folder


@pytest.mark.parametrize(
    "asked",
    [
        "split-digits/class finetune seed 1",
        "split-digits/class finetune 1",
        "split-digits/class/finetune/1",
        "split-digits.class finetune seed1",
        "class finetune 1",
        "{id}",
        "{id12}",
        "{path}",
        "{stem}",
    ],
)
def test_a_record_has_many_names(records, results, asked):
    record = records[CLASS, "finetune", 1]
    path = Store(results / "runs" / "digits").path(record)
    asked = asked.format(id=record.identity, id12=record.identity[:8], path=path, stem=path.stem)
    assert find(asked.split(), results).read().identity == record.identity


def test_one_that_is_not_there_is_answered_with_the_nearest(results):
    for asked, said in (
        ("split-digits/clas er seed 1", "did you mean 'split-digits.class er seed 1'?"),
        ("split-digits/class err 0", "did you mean 'split-digits.class"),
    ):
        with pytest.raises(SettingsError, match="no record of") as error:
            find(asked.split(), results)
        assert said.replace("class er", "class.er") in str(error.value).replace("class er", "class.er")


def test_of_several_all_are_listed(records, results):
    with pytest.raises(SettingsError) as error:
        find(["finetune", "0"], results)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("2 records are of 'finetune 0'")
    assert lines[1] == f"  digits: split-digits.class.finetune seed 0 ({records[CLASS, 'finetune', 0].identity[:12]})"
    with pytest.raises(SettingsError, match=r"(?s)digits: .*other: "):
        find([CLASS, "er", "0"], results)  # of two suites
    assert find([CLASS, "er", "0"], results, suite="other").suite == "other"
    with pytest.raises(SettingsError, match=r"no records of suite 'digist'.*did you mean 'digits'"):
        find(["er"], results, suite="digist")


def test_an_empty_folder_is_said(tmp_path):
    with pytest.raises(SettingsError, match="`run SUITE` makes some"):
        find(["er"], tmp_path)


def test_published_records(records, results):
    place = find([CLASS, "er", "seed", "1"], results, published=True)
    assert place.read().to_json() == records[CLASS, "er", 1].to_json()


def shown(*arguments):
    return CliRunner().invoke(app, ["show", *arguments])


def test_what_is_shown(records, results):
    record = records[CLASS, "er", 1]
    done = shown(CLASS, "er", "seed", "1", "--results-dir", str(results))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "split-digits/class er seed 1: done"
    matrix = record.matrix.matrix().accuracy
    (last,) = (line for line in lines if line.startswith("after 5 "))
    assert last.split()[2:] == [f"{100 * r:.1f}" for r in (*matrix[5], matrix[5].mean())]
    flat = " ".join(done.output.split())
    assert f"ACC {100 * record.score('acc'):.2f} %" in flat
    assert f"{record.steps:,} steps" in flat
    assert (
        "buffer_size = 200" in flat or f"buffer_size = {record.settings['method']['settings']['buffer_size']}" in flat
    )
    assert "n/a FWT:" in flat
    assert f"source: {len(record.source)} files, as they are today" in flat
    curve = next(line for line in lines if line.startswith("task 1 "))
    assert f"{100 * matrix[1, 0]:.1f} to {100 * matrix[5, 0]:.1f}" in curve


@pytest.mark.parametrize("width", [80, 60, 40, 30])
@pytest.mark.parametrize("tasks", [5, 30, 200])
def test_no_line_is_wider_than_the_terminal(records, width, tasks):
    record = records[CLASS, "er", 1]
    if tasks != 5:
        matrix = AccuracyMatrix(tasks)
        for i in range(tasks + 1):
            matrix.record_row(i, [(i * j % 10, 10) if j < i else None for j in range(tasks)])
        record = record.model_construct(**dict(record) | {"matrix": Counts.of(matrix)})
    lines = text_of(record, "results/runs/digits/x.json", width).splitlines()
    wide = [line for line in lines if cell_len(line) > width]
    assert [line for line in wide if len(line.split()) > 1] == []  # but for a word that is wider
    head = next(line.split() for line in lines if line.split()[:1] == ["1"])
    assert head[-2:] == [str(tasks), "mean"]


def test_curves_without_unicode(records):
    text = text_of(records[CLASS, "er", 1], "x", 80, ascii_only=True)
    assert set(text).isdisjoint(BARS)
    values = records[CLASS, "er", 1].matrix.matrix().accuracy[1:, 0]
    wanted = "".join(str(min(7, int(8 * value))) for value in values)
    assert f"task 1  {wanted}" in text


def test_a_failed_record_shows_the_end_of_its_error_with_control_characters_written_out(tmp_path):
    (cell,) = cells("er")
    lines = [f"line {n}" for n in range(100)]
    Store(tmp_path / "runs" / "digits").save(failed_record(cell, "\n".join([*lines, "\x1b[31mred: boom"]), 1.0))
    done = shown("er", "--results-dir", str(tmp_path))
    assert done.exit_code == 0
    assert "seed 0: failed" in done.output
    assert "\\x1b[31mred: boom" in done.output
    assert "\x1b" not in done.output
    assert "(86 lines before)" in done.output
    assert "line 86" in done.output
    assert "line 85" not in done.output


def test_a_record_that_is_not_believed_is_refused(tmp_path, records):
    path = Store(tmp_path / "runs" / "digits").save(records[CLASS, "er", 0])
    document = json.loads(path.read_text())
    document["matrix"]["correct"][1][0] = 10**6
    path.write_text(json.dumps(document))
    with pytest.raises(SettingsError, match=f"{path.name}: "):
        find(["er"], tmp_path).read()


def test_a_record_of_a_plug_in_that_is_not_there_says_how_to_name_one(records):
    record = records[CLASS, "er", 1]
    method = record.settings["method"] | {"name": "MyReplay"}
    changed = record.model_construct(**dict(record) | {"settings": record.settings | {"method": method}})
    said = " ".join(text_of(changed, "x", 80).split())
    assert "is none of today's; one of a plug-in is named with --include FILE_OR_MODULE" in said


def test_a_record_without_an_evaluated_row_shows_dashes(records):
    record = records[TASK, "er", 1]
    counts = record.matrix
    correct, total = ([list(row) for row in table] for table in (counts.correct, counts.total))
    for table in (correct, total):
        table[2] = [None] * 5
    changed = record.model_construct(**dict(record) | {"matrix": Counts(correct=correct, total=total)})
    text = text_of(changed, "x", 80)
    assert next(line for line in text.splitlines() if line.startswith("after 2")).split() == ["after", "2", *["-"] * 6]
    assert not np.isnan(changed.matrix.matrix().accuracy[1]).any()


def test_scored_predictions_say_where_they_come_from():
    place = find(["avalanche-replay", "0"], ROOT / "results", suite="split-mnist-avalanche", published=True)
    said = text_of(place.read(), "here")
    for text in ("parameters 269,322, kept", "avalanche-lib", "predictions: replay.seed0.npz"):
        assert text in said
    assert "steps" not in said
    assert "seconds" not in said
