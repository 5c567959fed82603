"""The gate on planted records: its truth table, what it refuses, what it writes, and promotion."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.gate.champion import Entrant, find_challenger, load_champion, promote
from benchmarks.gate.judge import Verdict, gate
from benchmarks.gate.render import junit, markdown, terminal
from benchmarks.gate.rules import make_rules
from benchmarks.gate.run import run_gate, run_promote
from benchmarks.records.record import Counts, Flops, Memory, RunRecord
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.request.grid import make_grid
from benchmarks.request.identity import identity_of
from benchmarks.request.load import load_suite
from tests.benchmarks.test_report_fixtures import planted, planted_cell

DOMAIN, CLASS = "split-digits/domain", "split-digits/class"
TOTAL = 1000
# The champion: each of three tasks is learned to 96%, the first two end 1 point lower.
PEAK, FINAL = 960, (950, 950, 960)
JITTER = (0, 2, -2, 1, -1)


def run_of(
    seed: int, lost: float = 0.0, scenario: str = DOMAIN, method: str = "er", shake: float = 1.0, **changes
) -> RunRecord:
    """A record whose last row is `lost` (a fraction) below the champion's; shake: how much seeds differ."""
    nudge = shake * JITTER[seed % 5]
    last = [round(n - TOTAL * lost * (n < PEAK) * 1.5 + nudge) for n in FINAL]
    rows = [[500] * 3, [PEAK, 500, 500], [PEAK - 5, PEAK, 500], last]
    if scenario == CLASS:
        rows = [[n if j < i else None for j, n in enumerate(row)] for i, row in enumerate(rows)]
    counts = Counts(correct=rows, total=[[None if n is None else TOTAL for n in row] for row in rows])
    reason = {"unseen tasks": "class-incremental"} if scenario == CLASS else {}
    record = planted(method, seed, scenario=scenario)
    manifest = record.scenario_manifest | {"test_sizes": [TOTAL] * 3}
    # no two runs take the same seconds
    clock = zlib.crc32(repr((seed, lost, scenario, method, shake, sorted(changes))).encode())
    own = {"matrix": counts, "not_evaluated": reason, "scenario_manifest": manifest}
    own |= {"seconds": record.seconds | {"evaluate": clock % 10**6 / 1e4}}
    return record.model_copy(update=own | changes)


def side(records, name: str = "er") -> Entrant:
    by_scenario: dict[str, dict[int, RunRecord]] = {}
    for record in records:
        by_scenario.setdefault(record.scenario, {})[record.seed] = record
    return Entrant(name, f"{name}.json", "digits", by_scenario)


def runs(lost: float = 0.0, seeds=range(5), **changes) -> Entrant:
    return side([run_of(seed, lost, **changes) for seed in seeds])


def verdict_of(challenger: Entrant, rules=None, champion: Entrant | None = None):
    return gate(champion or runs(), challenger, rules or make_rules())


def finding(verdict, measure: str):
    return next(f for f in verdict.findings if f.measure == measure)


def noisy(*nudges: int) -> Entrant:
    """A challenger as good as the champion on average, whose seeds differ by these counts of 1,000."""
    return side([run_of(seed, shake=n / (JITTER[seed] or 1)) for seed, n in enumerate(nudges)])


# ---- truth table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenger", "expected", "code"),
    [
        (runs(0.0), "pass", 0),
        (runs(-0.01), "pass", 0),
        (runs(0.005), "pass", 0),
        (runs(0.04), "fail", 1),
        (runs(0.3), "fail", 1),
        (noisy(0, 40, -60, 35, -45), "inconclusive", 3),
    ],
    ids=["equal", "better", "a little worse", "worse by twice the margin", "much worse", "noisy"],
)
def test_truth_table(challenger, expected, code):
    verdict = verdict_of(challenger)
    assert (verdict.verdict, verdict.exit_code) == (expected, code)
    assert (verdict.more_seeds is None) == (expected != "inconclusive")
    assert replace(verdict, inconclusive_ok=True).exit_code == (0 if expected == "inconclusive" else code)


def test_each_rule_has_estimate_interval_and_margin():
    verdict = verdict_of(runs(0.04))
    acc, fm, bwt = (finding(verdict, id) for id in ("acc", "fm.max", "bwt"))
    assert acc.quantity == "drop"
    assert acc.estimate == pytest.approx(0.04)
    assert acc.estimate == pytest.approx(acc.champion - acc.challenger)
    assert bwt.estimate == pytest.approx(0.06)
    assert fm.quantity == "value"
    assert fm.estimate == pytest.approx(0.07)  # 0.01 of the champion and 0.06 more
    assert [f.margin for f in (acc, fm, bwt)] == [0.02, 0.05, 0.03]
    for f in (acc, fm, bwt):
        assert f.low <= f.estimate <= f.high
        assert f.seeds == 5


def test_a_growth_of_exactly_the_margin_is_allowed():
    """What the rule says, not what floats do: log 2400 - log 2000 is 0.18232155679395490 and log 1.2 0.18232155679395462."""
    flops = Flops(inference=[2400] * 3, inference_modules=[2000] * 3, training=3_000_000, parts={})
    verdict = verdict_of(side([run_of(s, flops=flops) for s in range(5)]), make_rules(max_flops_growth=0.2))
    assert finding(verdict, "flops.inference").outcome == "pass"


def test_a_drop_of_exactly_the_margin_in_every_seed_is_no_proof_that_it_is_not_more():
    assert finding(verdict_of(runs(0.02)), "acc").outcome == "inconclusive"
    assert finding(verdict_of(runs(0.019)), "acc").outcome == "pass"


def small(forgotten: int, images: int = 90, lost: float = 0.0, learned: int = 0) -> Entrant:
    """Two seeds with equal counts: of each task of `images` test images so many are forgotten, after all but `learned` of
    the last task's are right. lost: tells the clocks of two sides apart."""
    last = [images - forgotten, images - forgotten, images - learned]
    rows: list[list[int | None]] = [[0] * 3, [images] * 3, [images] * 3, [*last]]
    matrix = Counts(correct=rows, total=[[images] * 3 for _ in rows])
    manifest = run_of(0).scenario_manifest | {"test_sizes": [images] * 3}
    return side([run_of(s, lost, matrix=matrix, scenario_manifest=manifest) for s in range(2)])


def test_seeds_that_coincide_are_no_certainty():
    """4 of 90 images forgotten in both seeds: another seed may well forget 5, which the limit of 0.05 does not allow."""
    found = finding(verdict_of(small(4), champion=small(4)), "fm.max")
    assert (found.outcome, found.low < found.estimate < found.high) == ("inconclusive", True)
    assert found.more_seeds is not None
    assert finding(verdict_of(small(1), champion=small(1)), "fm.max").outcome == "pass"


def test_equal_counts_are_no_drop_however_few_images_and_seeds():
    """A change that touches no result: each rule about a drop passes, also one that leaves nothing."""
    rules = make_rules(max_acc_drop=0)
    verdict = verdict_of(small(4, 8, lost=0.1), rules, champion=small(4, 8))
    assert verdict.verdict == "pass"  # the champion is beyond the limit, so the two are compared
    assert {(f.low, f.high) for f in verdict.findings} == {(0, 0)}
    # accuracy as before, of other images
    moved = verdict_of(small(3, 8, lost=0.1, learned=2), rules, champion=small(4, 8))
    assert finding(moved, "acc").estimate == 0
    assert finding(moved, "acc").outcome == "inconclusive"


def test_differences_are_paired_by_seed():
    """Seeds that differ a lot, the same on both sides: the difference does not."""
    champion = side([run_of(s, 0.0, shake=10) for s in range(5)])
    challenger = side([run_of(s, 0.0, shake=10) for s in range(5)])
    assert finding(verdict_of(challenger, champion=champion), "acc").high == 0


def test_seeds_besides_the_champion_s_are_left_out_and_named():
    """Also of a limit, which compares with no champion: seeds of one's own choice would thin out the bad ones."""
    many = side([run_of(s, 0.2 if s < 5 else 0.0) for s in range(40)])
    verdict = verdict_of(many, make_rules(limits=["acc=0.9"]))
    assert {f.seeds for f in verdict.findings} == {5}
    assert next(f for f in verdict.findings if f.rule == "ACC at least 0.9").outcome == "fail"
    assert any("left out: 5, 6, 7" in note for note in verdict.notes)


def test_nothing_is_said_of_seeds_that_are_left_out():
    elsewhere = run_of(5, environment={"versions": {"torch": "1.0"}}, source={"methods/er.py": "other"})
    challenger = side([*runs().records[DOMAIN].values(), elsewhere])
    notes = verdict_of(challenger, champion=side([run_of(s, source={"methods/er.py": "a"}) for s in range(5)])).notes
    assert any("left out: 5" in note for note in notes)
    assert not any("torch" in note or "methods/er.py" in note for note in notes)


def test_the_default_limit_yields_to_a_champion_beyond_it_and_a_named_one_binds():
    champion, equal, worse = runs(0.1), runs(0.1), runs(0.2)
    assert finding(verdict_of(equal, champion=champion), "fm.max").outcome == "pass"
    assert finding(verdict_of(worse, champion=champion), "fm.max").outcome == "fail"
    named = make_rules(max_fm=0.05)
    assert finding(verdict_of(equal, named, champion), "fm.max").outcome == "fail"
    assert finding(verdict_of(equal, make_rules(max_fm=0.3), champion), "fm.max").outcome == "pass"


def test_any_score_by_id_and_costs():
    expensive = side(
        [
            run_of(s, flops=Flops(inference=[2000] * 3, inference_modules=[2000] * 3, training=3_600_000, parts={}))
            for s in range(5)
        ]
    )
    rules = make_rules(max_flops_growth=0.1, max_seconds_growth=0.1, drops=["la=0.01"], limits=["acc=0.97"])
    verdict = verdict_of(expensive, rules)
    assert finding(verdict, "flops.training").outcome == "fail"
    assert finding(verdict, "flops.training").estimate == pytest.approx(0.2)
    assert finding(verdict, "flops.inference").outcome == "pass"
    assert finding(verdict, "seconds").outcome == "pass"
    assert finding(verdict, "la").outcome == "pass"
    limit = next(f for f in verdict.findings if f.rule == "ACC at least 0.97")
    assert limit.outcome == "fail"
    assert limit.low <= limit.challenger <= limit.high
    assert finding(verdict_of(expensive, make_rules(max_flops_growth=0.3)), "flops.training").outcome == "pass"


def test_a_score_that_does_not_exist_there_is_not_applicable():
    both = side([run_of(s, scenario=c) for s in range(5) for c in (DOMAIN, CLASS)])
    verdict = gate(both, both, make_rules(drops=["fwt=0.05"]))
    outcomes = {f.scenario: f.outcome for f in verdict.findings if f.measure == "fwt"}
    assert outcomes == {DOMAIN: "pass", CLASS: "n/a"}
    assert verdict.verdict == "pass"


def test_wrong_rules_are_all_named():
    with pytest.raises(SettingsError) as error:
        make_rules(max_bwt_drop=-1, drops=["acc", "fm.maks=0.1", "d=0.1"], growths=["acc=0.1"], limits=["acc=high"])
    text = str(error.value)
    for part in ("'acc'", "did you mean 'fm.max'", "joint", "no cost", "acc=high", "bwt: a margin of -1"):
        assert part in text


# ---- refusals ------------------------------------------------------------------------------------------------


def resettled(record: RunRecord, part: str, **changes) -> RunRecord:
    settings = record.settings | {part: record.settings[part] | changes}
    return record.model_copy(update={"settings": settings, "identity": identity_of(settings)})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: resettled(r, "training", epochs=7), "training.epochs is 2 and 7"),
        (lambda r: resettled(r, "model", hidden=[9]), "model.hidden is [8] and [9]"),
        (
            lambda r: resettled(r, "scenario", class_order="per_seed"),
            "scenario.class_order is 'natural' and 'per_seed'",
        ),
        (lambda r: resettled(r, "scenario", version=2), "scenario.version is 1 and 2"),
        (lambda r: r.model_copy(update={"scenario": CLASS}), f"only the champion has {DOMAIN}"),
    ],
    ids=["epochs", "network", "class order", "scenario version", "scenario"],
)
def test_refuses_what_does_not_compare_and_names_it(change, named):
    challenger = side([change(run_of(s)) for s in range(5)])
    with pytest.raises(SettingsError) as error:
        verdict_of(challenger)
    assert named in str(error.value)
    assert all(problem.startswith("refused: ") for problem in error.value.problems)


def test_a_smaller_buffer_and_another_version_of_the_method_do_compare():
    memory = Memory(stored_bytes=[{"buffer": 200}] * 3, peak_bytes=None)
    records = [run_of(s, memory=memory) for s in range(5)]
    challenger = side([resettled(r, "method", settings={"buffer_size": 20}, version=2) for r in records])
    assert verdict_of(challenger).verdict == "pass"


def test_a_setting_newer_than_the_champion_is_no_difference_at_its_default():
    """Records of one cell, made before and after `training.precision` was there."""
    anew = [run_of(s, steps=10) for s in range(5)]  # with times of their own
    now = side([resettled(record, "training", precision="fp32") for record in anew])
    assert verdict_of(now).verdict == "pass"
    other = side([resettled(record, "training", precision="bf16") for record in anew])
    with pytest.raises(SettingsError, match=r"training\.precision is None and 'bf16'") as error:
        verdict_of(other)
    assert "label_smoothing" not in str(error.value)


@pytest.mark.parametrize("status", ["failed", "diverged"])
@pytest.mark.parametrize("which", ["champion", "challenger"])
def test_refuses_failed_cells_on_either_side(status, which):
    broken = side([run_of(s, status="done" if s else status, error="ZeroDivisionError: 1/0") for s in range(5)])
    sides = {"champion": runs(), "challenger": runs()} | {which: broken}
    with pytest.raises(SettingsError, match=rf"the {which} .* has a {status} cell: {DOMAIN} seed 0: ZeroDivisionError"):
        gate(**sides, rules=make_rules())


def test_refuses_single_seeds_and_mixed_settings():
    with pytest.raises(SettingsError, match="single seed"):
        verdict_of(runs(seeds=[0]))
    mixed = side([run_of(0), *(resettled(run_of(s), "training", batch_size=1) for s in range(1, 5))])
    with pytest.raises(SettingsError, match=r"mixes settings .* training.batch_size is 16 and 1"):
        verdict_of(mixed, champion=mixed)


def test_seconds_of_different_machines_do_not_compare():
    elsewhere = side([run_of(s, environment={"hardware": "another", "threads": 8}) for s in range(5)])
    verdict = verdict_of(elsewhere)
    assert verdict.verdict == "pass"
    assert "hardware differs: champion test machine; challenger another" in verdict.notes
    with pytest.raises(SettingsError, match="seconds do not compare"):
        verdict_of(elsewhere, make_rules(max_seconds_growth=0.1))


def test_other_code_is_named_by_its_files():
    """What a record says of the source that decided it; a change of the evaluation is one to look at."""
    here = {"methods/er.py": "a", "benchmarks/cell/evaluate.py": "b"}
    there = here | {"benchmarks/cell/evaluate.py": "c"}
    champion = side([run_of(s, source=here) for s in range(5)])
    challenger = side([run_of(s, 0.001, source=there if s else here) for s in range(5)])
    notes = verdict_of(challenger, champion=champion).notes
    assert "code that decides the cells differs: benchmarks/cell/evaluate.py" in notes
    assert "the challenger's records were made by several versions of benchmarks/cell/evaluate.py" in notes
    assert not any("code" in note for note in verdict_of(runs(0.001), champion=champion).notes)


# ---- files ---------------------------------------------------------------------------------------------------


def test_a_champion_file_holds_the_whole_records(tmp_path):
    path = tmp_path / "champions" / "er.json"
    both = side([run_of(s, scenario=c) for s in range(3) for c in (DOMAIN, CLASS)])
    assert promote(both, path) is None
    loaded = load_champion(path)
    assert loaded.records == both.records
    assert loaded.scenarios == {DOMAIN: [0, 1, 2], CLASS: [0, 1, 2]}
    assert (loaded.name, loaded.suite) == ("er", "digits")


def test_promotion_keeps_every_champion_before(tmp_path):
    path = tmp_path / "er.json"
    texts = []
    for lost in (0.0, 0.01, 0.02):
        promote(runs(lost), path)
        texts.append(path.read_text())
    previous = tmp_path / "previous"
    assert [(previous / f"er.{k}.json").read_text() for k in (1, 2)] == texts[:2]
    assert path.read_text() == texts[2]
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["er.1.json", "er.2.json", "er.json"]


def test_promotion_keeps_every_champion_of_a_name_with_brackets(tmp_path):
    path = tmp_path / "er[new].json"
    for lost in (0.0, 0.01, 0.02):
        promote(runs(lost), path)
    assert sorted(p.name for p in (tmp_path / "previous").iterdir()) == ["er[new].1.json", "er[new].2.json"]


def test_promotion_overwrites_nothing_but_champions_and_takes_no_broken_challenger(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text("[1, 2]")
    with pytest.raises(SettingsError, match="no champion of version"):
        promote(runs(), path)
    assert path.read_text() == "[1, 2]"
    store = Store(tmp_path / "records")
    for seed in range(2):
        store.save(run_of(seed, status="failed"))
    with pytest.raises(SettingsError, match=r"not promoted: .* failed cell"):
        run_promote(tmp_path / "new.json", str(store.folder))
    assert not (tmp_path / "new.json").exists()


def edited(path, change) -> str:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.update(champion_version=9), "champion_version 9"),
        (lambda d: d.update(records=[]), "no records"),
        (lambda d: d["records"][1].update(record_version=0), "record 1: not a record of version"),
        (lambda d: d["records"][1]["settings"]["training"].update(epochs=9), "record 1: .* edited by hand"),
        (lambda d: d["records"][0]["matrix"]["correct"][-1].__setitem__(0, 10**6), "1000000 correct of 1000"),
        (lambda d: d["records"][0].update(seed="first"), "record 0: seed"),
        (lambda d: d["records"].append(d["records"][0]), "seed 0 is there twice"),
        (lambda d: d.update(scenarios={DOMAIN: [0]}), "its records are"),
    ],
)
def test_a_champion_file_that_was_tampered_with_is_refused(tmp_path, change, named):
    path = tmp_path / "er.json"
    promote(runs(), path)
    edited(path, change)
    with pytest.raises(SettingsError, match=named):
        load_champion(path)


def test_a_challenger_is_a_file_a_folder_or_a_method(tmp_path):
    promote(runs(), tmp_path / "er.json")
    store = Store(tmp_path / "records")
    for record in runs().records[DOMAIN].values():
        store.save(record)
    for where in (tmp_path / "er.json", store.folder):
        assert find_challenger(str(where)).records == runs().records
    with pytest.raises(SettingsError, match="no file or folder"):
        find_challenger(str(tmp_path / "absent.json"))
    with pytest.raises(SettingsError, match=r"has 0 of the 25 cells of er .* run digits --methods er"):
        find_challenger("er", "digits", tmp_path)
    words = "run digits --methods er --seeds 0,1 --set methods.er.buffer_size=5 --set 'model.hidden=[8, 8]'`"
    with pytest.raises(SettingsError, match=re.escape(words)):
        find_challenger(
            "er", "digits", tmp_path, seeds=[0, 1], changes=["methods.er.buffer_size=5", "model.hidden=[8, 8]"]
        )
    with pytest.raises(SettingsError, match="did you mean 'er'"):
        find_challenger("err", "digits", tmp_path)
    store.save(run_of(0, method="gem"))
    with pytest.raises(SettingsError, match="records of er, gem"):
        find_challenger(str(store.folder))


def test_a_method_is_judged_on_the_champion_s_scenarios_and_seeds(tmp_path):
    """Its records are found by what the suite settles now, and of those only the cells that the champion has."""
    cells = make_grid(load_suite("digits", ["er"], [DOMAIN, CLASS], [0, 1, 2])).cells
    store = Store(tmp_path / "runs" / "digits")
    # the champion has two seeds of one scenario and three of the other
    held = [planted_cell(c) for c in cells if c.scenario_name == DOMAIN or c.seed < 2]
    promote(side(held), tmp_path / "er.json")
    for record in held[1:]:
        store.save(record)
    verdict, text = run_gate(tmp_path / "er.json", "er", make_rules(), results_dir=tmp_path)
    assert verdict.verdict == "refused"
    assert "has 4 of the 5 cells of er" in text
    assert f"first {held[0].scenario} er seed {held[0].seed}" in text
    store.save(held[0])
    verdict, _ = run_gate(tmp_path / "er.json", "er", make_rules(), results_dir=tmp_path)
    assert verdict.verdict == "pass"
    assert {f.scenario: f.seeds for f in verdict.findings} == {DOMAIN: 3, CLASS: 2}


def test_outputs_of_the_command(tmp_path):
    promote(runs(), tmp_path / "er.json")
    promote(runs(0.04), tmp_path / "new.json")
    outputs = {"--json": tmp_path / "v.json", "--summary": tmp_path / "v.md", "--junit": tmp_path / "v.xml"}
    verdict, text = run_gate(tmp_path / "er.json", str(tmp_path / "new.json"), make_rules(), outputs=outputs)
    assert verdict.exit_code == 1
    assert text.endswith("verdict: fail")
    document = json.loads(outputs["--json"].read_text())
    assert document["verdict"] == "fail"
    assert document["exit_code"] == 1
    assert {"estimate", "low", "high", "margin", "outcome", "p_value"} <= set(document["findings"][0])
    table = [line for line in outputs["--summary"].read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 3
    suite = ElementTree.parse(outputs["--junit"]).getroot()[0]
    assert suite.tag == "testsuite"
    assert [int(suite.attrib[k]) for k in ("tests", "failures", "errors", "skipped")] == [3, 3, 0, 0]
    assert len(suite.findall("testcase/failure")) == 3


def test_a_refusal_is_written_too(tmp_path):
    promote(runs(), tmp_path / "er.json")
    promote(runs(seeds=[0]), tmp_path / "one.json")
    outputs = {"--json": tmp_path / "v.json", "--summary": tmp_path / "v.md", "--junit": tmp_path / "v.xml"}
    verdict, text = run_gate(tmp_path / "er.json", str(tmp_path / "one.json"), make_rules(), outputs=outputs)
    assert (verdict.verdict, verdict.exit_code) == ("refused", 2)
    for rendered in (text, *(path.read_text() for path in outputs.values())):
        assert "single seed" in rendered
    assert ElementTree.parse(outputs["--junit"]).getroot().find(".//error") is not None


def test_control_characters_are_written_out():
    """Of an error line in colours: XML has no room for them, and a page's reader no use."""
    said = "seed 0: \x1b[31mError\x1b[0m:\t\x00 \uffff <b>"
    refused = Verdict("refused", "er.json", "er", refusal=(said,))
    error = ElementTree.fromstring(junit(refused)).find(".//error")
    assert error is not None
    assert error.text == r"seed 0: \x1b[31mError\x1b[0m:" + "\t" + r"\x00 \uffff <b>"
    assert r"\x1b[31mError" in markdown(refused)


def test_renderings_of_what_is_undecided():
    verdict = verdict_of(noisy(0, 40, -60, 35, -45))
    assert f"run {verdict.more_seeds} more seeds" in markdown(verdict)
    assert f"verdict: inconclusive, run {verdict.more_seeds} more seeds of both" in terminal(verdict)
    suite = ElementTree.fromstring(junit(verdict))[0]
    failures = suite.findall("testcase/failure[@type='inconclusive']")
    assert int(suite.attrib["failures"]) == len(failures) > 0
    assert suite.attrib["skipped"] == "0"
    allowed = ElementTree.fromstring(junit(replace(verdict, inconclusive_ok=True)))[0]
    assert int(allowed.attrib["skipped"]) == len(allowed.findall("testcase/skipped")) == len(failures)
    assert allowed.attrib["failures"] == "0"
    assert "allowed by --inconclusive-ok" in terminal(replace(verdict, inconclusive_ok=True))
    json.dumps(verdict.document(), allow_nan=False)
    assert all(math.isfinite(f.estimate) for f in verdict.findings)
