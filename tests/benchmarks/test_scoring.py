"""Manifests for other programs, and records of what these predict: the same counts, strict checks, a place everywhere."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cell.evaluate import evaluate_both
from benchmarks.cell.run import run_cell, train_task
from benchmarks.cli.app import app
from benchmarks.gate.champion import Entrant
from benchmarks.gate.judge import gate
from benchmarks.gate.rerun import run_again
from benchmarks.gate.rules import make_rules
from benchmarks.records.matching import counts, matched_by_name, records_of
from benchmarks.records.publishable import Allowed
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Counts, RecordError, RunRecord
from benchmarks.records.remarks import NOT_GIVEN
from benchmarks.records.results import results_of
from benchmarks.records.scored import NOT_SCORED, scored_names, with_scored
from benchmarks.records.store import Scan, Store
from benchmarks.report.comparison import comparison
from benchmarks.report.guide import Evidence, guide
from benchmarks.report.leaderboard import make_leaderboard
from benchmarks.report.markdown import markdown
from benchmarks.report.page.document import page
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.plots import write_plots
from benchmarks.report.publish import publish_suite
from benchmarks.request.errors import SettingsError
from benchmarks.request.load import load_suite
from benchmarks.request.scored import ScoredCell
from benchmarks.request.suite import scenario_settings
from benchmarks.scoring.manifest import manifest_of, read_manifest, write_manifest
from benchmarks.scoring.predictions import Predictions, read_predictions
from benchmarks.scoring.score import Costs, matrices, scored_record
from methods import Finetune
from scenarios import Permuted, Split
from tests.benchmarks.helpers import grid
from tests.conftest import SHORT, SMALL_MODEL

SHA, OTHER_SHA = "0" * 64, "1" * 64
SETTINGS = ("class", "task", "domain")


def split(setting: str = "class", **settings) -> Split:
    return Split(data="digits", setting=setting, tasks=3, classes=6, **settings)


def predictions(
    scenario, scores=None, classes=None, pairs=None, task: bool = True, sha256: str = SHA, seed: int = 0
) -> Predictions:
    """Random scores, unless given, of all that can be predicted or of `pairs` (tasks trained, task from 1)."""
    n = len(scenario.tasks)
    if pairs is None:
        pairs = [(i, t + 1) for i in range(n + 1) for t in range(n) if scenario.layout.can_evaluate(t, i)]
    ids = [scenario.tasks[t - 1].test.rows.numpy() for _, t in pairs]
    after = np.concatenate([np.full(len(own), i) for (i, _), own in zip(pairs, ids, strict=True)])
    tasks = np.concatenate([np.full(len(own), t) for (_, t), own in zip(pairs, ids, strict=True)])
    if scores is None and classes is None:
        scores = np.random.default_rng(seed).normal(size=(len(after), scenario.layout.n_outputs))
    return Predictions("p.npz", sha256, after, np.concatenate(ids), tasks if task else None, classes, scores, None)


def shuffled(found: Predictions) -> Predictions:
    order = np.random.default_rng(1).permutation(len(found))
    parts = {k: v[order] for k, v in vars(found).items() if isinstance(v, np.ndarray)}
    return replace(found, **parts)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("form", ["logits", "classes"])
def test_the_counts_are_those_of_a_run_here(setting, form):
    """What a method answers, written down as another program would and scored, gives the matrix of its own evaluation."""
    scenario = split(setting, class_order="per_seed").build(seed=1)
    method = Finetune().start(scenario, SMALL_MODEL, SHORT)
    told = scenario.layout.setting.task_id_at_test
    ours, others, answers = [], [], []
    pairs = []
    for seen in range(4):
        if seen:
            train_task(method, scenario, scenario.tasks[seen - 1])
        row, other = evaluate_both(method, scenario)
        ours.append(row)
        others.append(other)
        for task in scenario.tasks:
            if scenario.layout.can_evaluate(task.id, seen):
                x = scenario.normalise(task.test.examples().images)
                with torch.no_grad():
                    scores = method.predict(x, task.id) if told else method.predict(x)
                padded = torch.full((len(x), scenario.layout.n_outputs), float("nan"))
                padded[:, : scores.shape[1]] = scores
                active = scenario.layout.active_at_test(task.id, seen)
                answers.append(padded if form == "logits" else active.answers(scores))
                pairs.append((seen, task.id + 1))
    everything = torch.cat(answers).numpy()
    given = {"scores": everything.astype(float)} if form == "logits" else {"classes": everything}
    found = shuffled(predictions(scenario, pairs=pairs, task=setting == "domain", **given))
    if form == "logits" and setting == "task":
        found = replace(found, scores=np.nan_to_num(found.scores, nan=-9.0))
    matrix, other = matrices(scenario, found)
    assert matrix.correct == [[cell and cell[0] for cell in row] for row in ours]
    if form == "classes" or setting == "domain":
        assert other is None
    elif setting == "class":
        assert other.correct == [[cell and cell[0] for cell in row] for row in others]


def faults(scenario, found: Predictions) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        matrices(scenario, found)
    return [problem.removeprefix("p.npz: ") for problem in caught.value.problems]


def test_all_that_does_not_fit_is_said_at_once():
    scenario = split().build(seed=0)
    good = predictions(scenario, task=False)
    n = len(good)
    scores = good.scores.copy()
    scores[-1, 0], scores[0, 5] = np.nan, np.nan  # the latter of an output that does not exist yet
    bad = replace(good, scores=scores, id=np.r_[good.id[:4], good.id[0], good.id[5:]])
    lines = faults(scenario, bad)
    assert lines == [
        f"images with several predictions: after task 1, task 1: 1 (ids {good.id[0]})",
        f"test images without a prediction: after task 1, task 1: 1 (ids {good.id[4]})",
        "logits of active outputs that are NaN or infinite: after task 3, task 3: 1 predictions",
    ]
    assert faults(scenario, replace(good, scores=scores)) == [
        "logits of active outputs that are NaN or infinite: after task 3, task 3: 1 predictions"
    ]
    assert faults(scenario, replace(good, scores=good.scores[:, :5])) == ["logits of 5 outputs: the scenario has 6"]
    assert faults(scenario, replace(good, id=np.r_[good.id[:-1], 9999]))[0] == (
        "ids that are no test image of the scenario: 1 predictions (ids 9999)"
    )
    assert faults(scenario, replace(good, after_task=np.r_[good.after_task[:-1], 7])) == [
        "after_task outside 0 to 3: 1 predictions (7)"
    ]
    classes = np.zeros(n, dtype=np.int64)
    classes[0], classes[1] = 6, 2
    assert faults(scenario, replace(good, scores=None, classes=classes)) == [
        "predictions outside the outputs 0 to 5: 1 (6)",
    ]
    classes[0] = 0
    (line,) = faults(scenario, replace(good, scores=None, classes=classes))
    assert line.endswith("active ones): after task 1, task 1: 1, active are 0 to 1")
    assert faults(scenario, predictions(scenario, pairs=[(1, 2), (3, 1), (3, 2), (3, 3)])) == [
        "cannot be predicted in the class-incremental setting: after task 1, task 2"
    ]
    assert faults(scenario, predictions(scenario, pairs=[(1, 1), (3, 1)])) == [
        "no predictions after the last task, on which every score rests: task 2; task 3"
    ]
    of_others = replace(good, task=np.full(n, 2))
    assert any(line.startswith("ids that are not of the task") for line in faults(scenario, of_others))


def test_tasks_that_share_images_need_the_column_task():
    scenario = Permuted(data="digits", setting="domain", tasks=2).build(seed=0)
    assert "column 'task' is missing" in faults(scenario, predictions(scenario, task=False))[0]
    matrix, other = matrices(scenario, shuffled(predictions(scenario)))
    assert matrix.complete
    assert other is None


def record(setting="class", pairs=None, name="theirs", seed=0, costs=None, stream=None, **given) -> RunRecord:
    stream = stream or split(setting)
    scenario = stream.build(seed, name=f"split-digits/{setting}")
    cell = ScoredCell(f"split-digits/{setting}", name, scenario_settings(stream), seed)
    found = predictions(scenario, pairs=pairs, seed=seed, **given)
    return scored_record(cell, scenario, found, OTHER_SHA, "a program", {"torch": "1.0"}, costs or Costs())


def test_a_scored_record_has_what_was_given_and_no_more():
    bare = record()
    again = RunRecord.from_json(bare.to_json())
    assert again == bare
    assert bare.to_json() == again.to_json()
    document = json.loads(bare.to_json())
    assert document["scored"] == {"file": "p.npz", "sha256": SHA, "manifest": OTHER_SHA, "provenance": "a program"}
    assert (document["flops"]["training"], document["steps"], document["seconds"]) == (None, None, {})
    assert "model" not in document["settings"]
    full = record(costs=Costs(10, [1, 2, 3], [5] * 3, [7] * 3))
    assert (full.flops.training, full.flops.inference) == (10, [1, 2, 3])
    assert full.identity == bare.identity
    frame = results_of(*suite_of(full)).frame
    assert frame["memory"].item() == 4 * 5 + 7


def test_what_only_a_run_has_is_not_left_out_of_one():
    ours = run_cell(grid("finetune").cells[0])
    assert "scored" not in json.loads(ours.to_json())  # as in all records before there was scoring
    assert RunRecord.from_json(ours.to_json()) == ours
    for change, said in (
        (lambda d: d["flops"].update(training=None), "flops.training is missing"),
        (lambda d: d.update(steps=None), "steps is missing"),
        (lambda d: d["seconds"].clear(), "seconds.total is missing"),
        (lambda d: d.update(scored=json.loads(record().to_json())["scored"]), "scored is given"),
    ):
        document = json.loads(ours.to_json())
        change(document)
        with pytest.raises(RecordError, match=said):
            RunRecord.from_document(document)
    document = json.loads(record().to_json())
    del document["scored"]
    with pytest.raises(RecordError, match="scored is missing"):
        RunRecord.from_document(document)


@pytest.mark.parametrize(
    ("setting", "pairs", "known", "absent"),
    [
        ("class", [(3, 1), (3, 2), (3, 3)], ["acc", "la"], ["bwt", "fm.mean", "fwt"]),
        ("task", [(i, t) for i in range(1, 4) for t in range(1, i + 1)], ["acc", "bwt", "fm.mean"], ["fwt"]),
        ("domain", None, ["acc", "bwt", "fwt"], []),
    ],
)
def test_scores_of_what_was_not_predicted_are_not_a_number(setting, pairs, known, absent):
    found = record(setting, pairs)
    row = results_of(*suite_of(found)).frame.iloc[0]
    assert [bool(np.isnan(row[id])) for id in (*known, *absent)] == [False] * len(known) + [True] * len(absent)
    runs = results_of(*suite_of(found)).runs[0]
    for id in absent:
        assert runs.values(id)["theirs"] == {}
        assert runs.reasons(id)["theirs"]


def suite_of(*records: RunRecord, methods=("finetune", "er"), seeds=None, changes=()):
    """The grid of suite digits with these records of split-digits, and a scan of them."""
    (setting,) = {r.settings["scenario"]["setting"] for r in records}
    seeds = seeds or len({r.seed for r in records})
    changed = ["scenario.tasks=3", "scenario.classes=6", "scenario.class_order=natural", *changes]
    chosen = load_suite("digits", list(methods), [f"split-digits/{setting}"], list(range(seeds)), changed)
    from benchmarks.request.grid import make_grid

    scan = Scan()
    for own in records:
        scan.add(own, f"{own.method}.{own.seed}.json")
    plain = make_grid(chosen.model_copy(update={"scored": ["*"]}))
    return with_scored(plain, scan), scan


@pytest.fixture(scope="module")
def beside():
    """Finetune as run here, and two programs: one right throughout in the end, one at chance; two seeds."""
    records = []
    for seed in range(2):
        scenario = split().build(seed)
        blank = predictions(scenario)
        labels = np.concatenate(
            [scenario.tasks[t - 1].test.labels.numpy() for t in (1, 1, 2, 1, 2, 3)],
        )
        classes = np.where(np.arange(len(blank)) % (9 + seed) == 0, 0, labels)
        records.append(record(name="good", seed=seed, classes=classes, sha256=f"{seed}" * 64))
        records.append(
            record(name="poor", seed=seed, sha256=f"{seed + 2}" * 64, costs=Costs(10, [1] * 3, [2] * 3, [9] * 3))
        )
    wide, scan = suite_of(*records)
    for cell in wide.cells:
        if cell.method.name == "finetune":
            scan.add(run_cell(cell), f"{cell.label}.json")
    return wide, scan


def test_a_scored_program_stands_beside_the_methods(beside, tmp_path):
    wide, scan = beside
    results = results_of(wide, scan)
    (runs,) = results.runs
    assert runs.roles == {"finetune": "lower bound", "er": "method", "good": "method", "poor": "method"}
    assert set(runs.settings) == {"finetune", "er"}  # of what ran here
    board = make_leaderboard(results)
    text = markdown(board)
    (table,) = board.tables
    rows = {row.method: row for row in table.rows}
    assert (rows["good"].n, rows["poor"].n, rows["er"].n) == (2, 2, 0)
    assert "predictions of another program, scored here: a program, torch 1.0" in text
    cells = dict(zip((c.measure.id for c in table.columns), rows["good"].cells, strict=True))
    assert cells["flops.training"].text == cells["memory"].text == cells["seconds"].text == "n/a"
    assert cells["acc"].summary.mean > 0.85
    assert f"n/a: {NOT_GIVEN}" in table.notes
    poor = dict(zip((c.measure.id for c in table.columns), rows["poor"].cells, strict=True))
    assert poor["flops.training"].summary.mean == 10
    against = comparison("digits", results.runs)
    assert "against good" in against
    assert "Scored from another program's predictions: good, poor" in against
    assert "hardware: not recorded" not in text
    text = guide([Evidence("digits", ".", ".", results.runs, scan.places)])
    assert "[0](./good.0.json)" in text
    written = page([PageSuite.of(wide, scan)])
    assert "predictions of another program" in written
    assert "--methods good" not in written  # nothing here runs it
    assert [path for path in write_plots(wide, scan, tmp_path) if path.exists()]


def test_plots_of_scored_programs_alone(tmp_path):
    wide, scan = suite_of(record(pairs=[(3, 1), (3, 2), (3, 3)]), methods=["finetune"])
    assert all(path.exists() for path in write_plots(wide, scan, tmp_path))
    alone = replace(wide, cells=[], suite=wide.suite.model_copy(update={"methods": {}}))
    text = markdown(make_leaderboard(results_of(alone, scan)))
    assert "| theirs" in text
    assert "class-incremental" in text


def test_a_program_counts_where_its_scenario_is_that_of_the_suite(beside):
    wide, scan = beside
    assert wide.scored_names == ["good", "poor"]
    assert counts(wide, scan) == {"done": 6, "missing": 2, "failed": 0, "diverged": 0}
    other, _ = suite_of(*[r for r in scan.records.values() if r.scored], changes=["scenario.samples_per_task=50"])
    assert other.scored == ()
    longer, _ = suite_of(*[r for r in scan.records.values() if r.scored], seeds=3)
    assert [cell.label for cell in longer.scored if cell.identity not in scan.records] == [
        "split-digits/class good seed 2",
        "split-digits/class poor seed 2",
    ]


def test_published_with_their_suite(beside, tmp_path):
    wide, scan = beside
    made = {"commit": "a" * 40, "versions": {}, "hardware": "a processor"}
    clean = Scan()
    for identity, own in scan.records.items():
        environment = made if not own.scored else {"commit": "a" * 40, "versions": {"torch": "1.0"}}
        clean.add(own.model_copy(update={"environment": environment}), scan.places[identity])
    with pytest.raises(SettingsError, match="er seed 0: missing"):
        publish_suite(wide, clean, tmp_path)
    folder = publish_suite(wide, clean, tmp_path, Allowed(partial=True))
    stored = PublishedStore(folder).scan()
    assert stored.problems == []
    assert scored_names(folder) == {"good", "poor"}
    plain = replace(wide, scored=())
    again = with_scored(plain, stored, by_name=True)
    assert len(records_of(again, matched_by_name(again, stored))) == 6
    assert "predictions of another program" in next(folder.glob("*.md")).read_text()


def test_a_program_of_another_scenario_is_not_applicable():
    suite = grid("finetune", scenarios=("split-digits/class", "split-digits/task"), changes=["scenario.tasks=5"])
    cells = [c for c in suite.cells if c.scenario_name == "split-digits/class"]
    own = record(stream=cells[0].scenario)
    scan = Scan()
    scan.add(own, "own.json")
    narrowed = replace(suite, suite=suite.suite.model_copy(update={"scored": ["the*"]}))
    wide = with_scored(narrowed, scan)
    assert wide.impossible["split-digits/task", "theirs"] == NOT_SCORED
    assert with_scored(replace(suite, suite=suite.suite.model_copy(update={"scored": ["er"]})), scan).scored == ()


# ---- the gate ------------------------------------------------------------------------------------------------------


def entrant(*records: RunRecord) -> Entrant:
    by_seed = {own.seed: own for own in records}
    return Entrant(records[0].method, "here", "digits", {records[0].scenario: by_seed})


def test_the_gate_judges_scored_programs(beside):
    _, scan = beside
    of = {name: [r for r in scan.records.values() if r.method == name] for name in ("good", "poor", "finetune")}
    good, poor, ours = (entrant(*own) for own in of.values())
    same = gate(good, good, make_rules())
    assert same.verdict in ("pass", "inconclusive")
    assert not any(finding.outcome == "fail" for finding in same.findings)
    assert any("another program made" in note for note in same.notes)
    worse = gate(good, poor, make_rules())
    assert worse.findings[0].estimate > 0.3
    mixed = gate(good, ours, make_rules())
    assert any("the champion's network and training" in note for note in mixed.notes)
    with pytest.raises(SettingsError, match="score its predictions with --memory"):
        gate(ours, good, make_rules())  # how much it keeps is not known
    with pytest.raises(SettingsError, match="another program made its predictions"):
        run_again(good, 1, None, ["cpu"])


def test_the_gate_refuses_one_file_under_two_seeds():
    twice = entrant(record(seed=0), record(seed=1))
    with pytest.raises(SettingsError, match="seeds 0 and 1 are of the same predictions"):
        gate(twice, twice, make_rules())


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["json", "npz"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_manifest_reads_back_whole(tmp_path, ending, setting):
    suite, stream = load_suite("digits"), split(setting)
    scenario = stream.build(seed=3, name="s")
    document = manifest_of(suite, "digits", None, stream, scenario, 3)
    path = write_manifest(tmp_path / f"m.{ending}", document, scenario, images=ending == "npz")
    assert read_manifest(path) == document
    first = document["tasks"][0]
    assert first["train"]["ids"] == scenario.tasks[0].train.rows.tolist()
    assert first["active_in_training"] == first["outputs"] if setting != "domain" else [0, 2]
    if ending == "npz":  # with numpy alone
        with np.load(path) as arrays:
            image = arrays["test_images_2"]
            assert image.dtype == np.uint8
            assert (image == scenario.tasks[1].test.examples().images.numpy()).all()
            assert str(arrays["manifest"]).startswith("{")


def test_the_example_reads_what_manifests_have():
    """It needs a library that is not installed here, so that only this much of it is run."""
    text = (Path(__file__).parents[2] / "examples" / "avalanche_split_mnist.py").read_text()
    compile(text, "example", "exec")
    assert "benchmarks" not in re.findall(r"^(?:import|from) (\w+)", text, re.M)
    suite, stream = load_suite("split-mnist-avalanche"), split()
    document = manifest_of(suite, "s", None, stream, stream.build(name="s"), 0)
    read = {"manifest": document, "data": document["data"], "recipe": document["protocol"]["training"]}
    for name, known in read.items():
        keys = re.findall(rf'\b{name}((?:\["\w+"\])+)', text)
        assert keys
        for path in keys:
            found = known
            for key in re.findall(r'"(\w+)"', path):
                found = found[key]


def test_identities_of_manifests():
    suite, stream = load_suite("digits"), split(class_order="per_seed")

    def identity(seed=0, suite=suite, stream=stream) -> str:
        return manifest_of(suite, "digits", None, stream, stream.build(seed, name="s"), seed)["identity"]

    longer = load_suite("digits", changes=["training.epochs=3"])
    narrowed = load_suite("digits", methods=["er"])
    assert identity() == identity(suite=narrowed)
    assert len({identity(), identity(1), identity(suite=longer), identity(stream=split())}) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no manifest"),
        ("[1]", "is no manifest of version 1"),
        ("[" * 100_000, "is no manifest: "),
        ('{"manifest_version": 2}', "is no manifest of version 1 (manifest_version 2)"),
        ('{"manifest_version": 1, "suite": 3}', "suite, changes, scenario, seed, identity missing or of another kind"),
    ],
)
def test_what_is_no_manifest(tmp_path, text, said):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_manifest(tmp_path / "m.json")
    assert said in str(caught.value)


FRAME = {"after_task": [1, 1], "id": [4, 5], "prediction": [0, 1]}


def npz_damages() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict.fromkeys(("manifest", *FRAME), np.random.default_rng(0).permutation(500)))
    whole = buffer.getvalue()
    flags, method = whole.index(b"PK\x01\x02") + 8, whole.index(b"PK\x01\x02") + 10
    return {
        "empty": b"",
        "cut off": whole[:-50],
        "compressed part": whole[:60] + bytes(255 - b for b in whole[60:400]) + whole[400:],
        "said to be encrypted": whole[:flags] + b"\x01" + whole[flags + 1 :],
        "of no known compression": whole[:method] + b"\x63" + whole[method + 1 :],
    }


@pytest.mark.parametrize("kind", npz_damages())
@pytest.mark.parametrize("read", [read_predictions, read_manifest])
def test_damaged_npz_files_are_named(tmp_path, kind, read):
    (tmp_path / "x.npz").write_bytes(npz_damages()[kind])
    with pytest.raises(SettingsError, match=r"x\.npz (cannot be read|is no manifest): \S"):
        read(tmp_path / "x.npz")


def test_predictions_from_npz_and_csv(tmp_path):
    np.savez(tmp_path / "p.npz", **FRAME, manifest="m")
    pd.DataFrame(FRAME | {"task": [1.0, 1.0]}).to_csv(tmp_path / "p.csv", index=False)
    one, other = read_predictions(tmp_path / "p.npz"), read_predictions(tmp_path / "p.csv")
    assert (one.classes == other.classes).all()
    assert (one.manifest, other.manifest) == ("m", None)
    assert (one.task, other.task.tolist()) == (None, [1, 1])
    logits = {"after_task": [1], "id": [4], **{f"logit_{k}": [float(k)] for k in range(11)}}
    pd.DataFrame(logits).to_csv(tmp_path / "l.csv", index=False)
    assert read_predictions(tmp_path / "l.csv").scores.tolist() == [list(range(11))]


def test_parquet_is_read_where_pyarrow_is_installed(tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(SettingsError, match="install pyarrow"):
            read_predictions(tmp_path / "p.parquet")
        return
    pd.DataFrame(FRAME).to_parquet(tmp_path / "p.parquet")
    assert read_predictions(tmp_path / "p.parquet").classes.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"after_task": [1], "id": [2]}, "neither is there"),
        (FRAME | {"logits": [[0.0], [1.0]]}, "both are there"),
        ({"id": [2], "prediction": [1]}, "column 'after_task' is missing"),
        (FRAME | {"id": [0.5, np.nan]}, "id: 2 of 2 are no whole numbers"),
        (FRAME | {"predicton": [1, 1]}, "unknown column 'predicton'; did you mean 'prediction'?"),
        (FRAME | {"prediction": [1, 2, 3]}, "columns of different lengths"),
        (dict.fromkeys(FRAME, np.zeros(0, dtype=int)), "no predictions"),
        (FRAME | {"prediction": ["a", "b"]}, "prediction: 2 of 2 are no whole numbers"),
        (FRAME | {"manifest": ["a", "b"]}, "manifest names 2 manifests"),
    ],
)
def test_files_that_are_no_predictions(tmp_path, columns, said):
    np.savez(tmp_path / "p.npz", **columns)
    with pytest.raises(SettingsError) as caught:
        read_predictions(tmp_path / "p.npz")
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("p.npz", b"x"), ("p.csv", b""), ("p.txt", b""), ("p.npz", None)])
def test_files_that_cannot_be_read(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match=r"p\.(npz|csv|txt)"):
        read_predictions(tmp_path / name)


# ---- commands ------------------------------------------------------------------------------------------------------


def command(*words: str | Path) -> tuple[int, str]:
    """Exit code and all that was printed; what was wrong, where a request was."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    problems = getattr(done.exception, "problems", [])
    return 2 if problems else done.exit_code, done.output + "\n".join(problems)


def test_commands_from_manifest_to_status(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    narrow = ("--scenarios", "split-digits/class", "--seeds", "1")
    assert command("manifest", "digits", *narrow, "--output", "m.json")[0] == 0
    document = read_manifest(Path("m.json"))
    tests = {task["task"]: task["test"] for task in document["tasks"]}
    last = [(5, i, y) for task in tests.values() for i, y in zip(task["ids"], task["labels"], strict=True)]
    after, ids, labels = map(np.array, zip(*last, strict=True))
    np.savez("p.npz", after_task=after, id=ids, prediction=labels, manifest=document["identity"])
    asked = ("score", "p.npz", "--manifest", "m.json", "--name")
    code, said = command(*asked, "perfect", "--versions", "numpy=2", "--parameters", "7", "--memory", "1,2,3,4,5")
    assert (code, "ACC 100.00%" in said) == (0, True), said
    (path,) = Path("results/runs/digits").glob("*.perfect.seed0.*.json")
    own = Store(path.parent).scan().records.popitem()[1]
    assert own.parameters == [{"total": 7}] * 5
    assert own.environment["versions"] == {"numpy": "2"}
    assert own.matrix == Counts(correct=own.matrix.correct, total=own.matrix.total)
    code, said = command("status", "digits", *narrow, "--methods", "perf*")
    assert "perfect (scored)" in said
    assert "1 done, 0 missing" in said
    code, said = command("run", "digits", *narrow, "--methods", "perfect")
    assert (code, "0 cells, 0 done, 0 to run" in said) == (0, True), said
    assert "perfect" in said.split("class-incremental")[1]
    code, said = command("run", "digits", *narrow, "--methods", "perfekt")
    assert (code, "unknown method 'perfekt'" in said) == (2, True)
    # scored again
    assert command(*asked, "perfect")[0] == 0
    np.savez("p.npz", after_task=after, id=ids, prediction=labels * 0)
    code, said = command(*asked, "perfect")
    assert (code, "give --replace" in said) == (2, True)
    assert command(*asked, "perfect", "--replace")[0] == 0
    code, said = command(*asked, "er", "--parameters", "1,2")
    assert code == 2
    assert "--name er: that is a method" in said
    assert "--parameters '1,2'" in said
    np.savez("p.npz", after_task=after, id=ids, prediction=labels, manifest="f" * 64)
    assert "answers another manifest" in command(*asked, "perfect")[1]


def test_a_stale_manifest_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite = "title: t\nseeds: 1\nscenarios: {s: {stream: split, data: digits, setting: class}}\nmethods: [finetune]\n"
    Path("own.yaml").write_text(suite + "training: {epochs: 2}\n")
    np.savez("p.npz", after_task=[5], id=[0], prediction=[0])
    assert command("manifest", "own.yaml", "--output", "m.npz", "--images")[0] == 0
    Path("own.yaml").write_text(suite + "training: {epochs: 3}\n")
    code, said = command("score", "p.npz", "--manifest", "m.npz", "--name", "a")
    assert code == 2
    assert "m.npz is of another version than there is now: protocol.training" in said
    assert command("manifest", "own.yaml", "--output", "m.json", "--images")[0] == 2
    assert command("manifest", "digits", "--output", "m.json")[0] == 2
