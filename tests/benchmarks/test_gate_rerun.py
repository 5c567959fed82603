"""`--rerun`: which cells are run again, what repeats, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.cell.run import run_cell
from benchmarks.gate.champion import Entrant
from benchmarks.gate.judge import gate
from benchmarks.gate.rerun import cell_of, choose, compare, run_again
from benchmarks.gate.rules import make_rules
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Counts, RunRecord
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from tests.benchmarks.helpers import cells
from tests.benchmarks.test_gate import CLASS, DOMAIN, resettled, run_of, side

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def real() -> Entrant:
    """Two seeds of a small grid, as they came out here."""
    return side([run_cell(cell) for cell in cells("er", seeds=2)])


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Cells run here and not in a worker, whose start takes longer than they do; the README's commands start one."""

    def run(cells, folder, data_root, devices):
        for cell in cells:
            yield Store(folder).save(run_cell(cell, data_root, devices[0]))

    monkeypatch.setattr("benchmarks.gate.rerun.run_local", run)


def edited(record: RunRecord, images: int, **environment) -> RunRecord:
    """`record` with `images` fewer right answers of the first task at the end."""
    rows = [list(row) for row in record.matrix.correct]
    rows[-1][0] = abs((rows[-1][0] or 0) - images)
    changed = {"matrix": Counts(correct=rows, total=record.matrix.total)}
    return record.model_copy(update=changed | {"environment": record.environment | environment})


def with_seed_0(entrant: Entrant, record: RunRecord) -> Entrant:
    (own,) = entrant.records.values()
    return side([record, *(r for r in own.values() if r.seed)])


def test_cells_run_again_are_equal_bit_for_bit_and_an_edited_count_is_found(real):
    """Both seeds are run; one is as its record says, of the other a single image was taken."""
    (own,) = real.records.values()
    with pytest.raises(SettingsError) as error:
        run_again(with_seed_0(real, edited(own[0], 1)), 2, None, ["cpu"])
    (problem,) = error.value.problems
    assert problem.startswith(f"refused: --rerun: {CLASS} seed 0, run again here, is not what its record says: ")
    assert "counts differ by up to 1 images of a task and 1 of all tasks, on the same hardware" in problem


def test_sentences_of_what_was_run_again(real):
    said = run_again(real, 1, None, ["cpu"])
    assert said[0].endswith("equal bit for bit")
    assert said[1] == "1 of the challenger's 2 cells were run again here; the others rest on records"
    verdict = gate(real, real, make_rules(), run_again=lambda entrant: run_again(entrant, 2, None, ["cpu"]))
    assert not any("nothing was run again" in note for note in verdict.notes)
    assert sum("equal bit for bit" in note for note in verdict.notes) == 2


def test_elsewhere_some_images_may_differ_and_more_may_not(real):
    own = real.records[CLASS][0]
    images = own.matrix.total[-1][0]
    assert images is not None
    for environment in ({"instructions": "AVX9"}, {"versions": {"torch": "1"}}, {"products": "another"}):
        assert compare(edited(own, 3, **environment), own)[0] == ""
        assert "counts differ by up to 3 images" in compare(edited(own, 3, **environment), own)[1]
        assert "more than other" in compare(edited(own, images // 10, **environment), own)[0]
    # what does not hang on the order of additions is equal everywhere
    assert "steps differ" in compare(own.model_copy(update={"steps": 1, "environment": {}}), own)[0]
    manifest = own.scenario_manifest | {"data_checksum": "another"}
    assert "manifests differ" in compare(own.model_copy(update={"scenario_manifest": manifest}), own)[0]
    failed = own.model_copy(update={"status": "failed", "error": "ZeroDivisionError"})
    assert compare(own, failed)[0] == "it is failed here: ZeroDivisionError"


def costing(record: RunRecord, training: int, solver: int, **environment) -> RunRecord:
    """`record` with other training FLOPs, `solver` of them a solver's."""
    flops = record.flops.model_copy(update={"training": training, "parts": {"solver": solver}})
    return record.model_copy(update={"flops": flops, "environment": record.environment | environment})


def test_flops_are_equal_everywhere_but_for_those_of_solvers(real):
    own = costing(real.records[CLASS][0], 1000, 100)
    modules = own.flops.model_copy(update={"inference_modules": [1] * 5})
    assert compare(own.model_copy(update={"flops": modules}), own)[0] == "inference FLOPs differ"
    for environment in ({}, {"instructions": "AVX9"}, {"device": "cuda"}):
        assert compare(costing(own, 1000, 100, **environment), own) == ("", "equal bit for bit")
    for environment in ({}, {"instructions": "AVX9"}):
        assert compare(costing(own, 100, 100, **environment), own)[0] == "training FLOPs differ"
    # GEM's is called as often as gradients ask for it, and on an accelerator is counted with the steps
    assert compare(costing(own, 950, 50), own)[0] == "solver FLOPs differ"
    assert compare(costing(own, 950, 50, instructions="AVX9"), own)[0] == ""
    assert compare(costing(own, 1200, 0, device="cuda"), own)[0] == ""
    without = own.model_copy(update={"matrix_other": None, "matrix_other_view": None})
    assert compare(without, own)[0] == "presence or size of matrix_other differ"


def test_the_choice_spreads_over_seeds_and_hangs_on_every_record():
    both = side([run_of(s, scenario=c) for s in range(5) for c in (DOMAIN, CLASS)])
    chosen = choose(both, 5)
    assert {record.seed for record in chosen} == {0, 1, 2, 3, 4}
    assert {record.scenario for record in chosen} == {DOMAIN, CLASS}
    assert choose(both, 5) == chosen
    assert len(choose(both, 99)) == 10

    def first(entrant: Entrant) -> tuple[str, int]:
        (record,) = choose(entrant, 1)
        return record.scenario, record.seed

    others = {
        first(side([run_of(s, lost, scenario=c) for s in range(5) for c in (DOMAIN, CLASS)]))
        for lost in (0.01, 0.02, 0.03, 0.04, 0.05)
    }
    assert len(others) > 1


@pytest.mark.parametrize("suite", ["digits", "mnist", "der2020_rotmnist", "vdv2022_splitmnist"])
def test_cells_are_read_back_from_records_as_the_suite_settles_them(suite):
    """Every method and scenario of the suite, through the JSON of a record."""
    seen = set()
    for cell in make_grid(load_suite(suite)).cells:
        if (cell.scenario_name, cell.method_name) in seen:
            continue
        seen.add((cell.scenario_name, cell.method_name))
        names = {"scenario": cell.scenario_name, "method": cell.method_name, "seed": cell.seed}
        settings = json.loads(json.dumps(cell.identity_settings()))
        record = RunRecord.model_construct(**names, settings=settings, identity=cell.identity)
        assert cell_of(record) == cell


def test_what_this_code_cannot_run_is_said():
    with pytest.raises(SettingsError, match="made with other settings or another version"):
        cell_of(resettled(run_of(0), "method", version=9))
    with pytest.raises(SettingsError, match="unknown method 'gone'"):
        cell_of(resettled(run_of(0), "method", name="gone"))
    with pytest.raises(SettingsError, match="unknown stream 'gone'"):
        cell_of(resettled(run_of(0), "scenario", stream="gone"))


def test_the_published_records_of_a_method_can_be_run_again():
    records = PublishedStore(ROOT / "results" / "published" / "digits").scan().records.values()
    for record in records:
        if record.method == "finetune" and record.seed == 0:
            assert cell_of(record).identity == record.identity
