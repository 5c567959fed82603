"""What a challenger's records may try: each cheat goes through files and the command, and is refused with its reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.cli.app import main
from benchmarks.gate.champion import promote
from benchmarks.records.record import RunRecord
from benchmarks.request.identity import identity_of
from tests.benchmarks.test_gate import DOMAIN, run_of, side

Records = list[dict[str, Any]]
Forge = Callable[[Records], Records]


@pytest.fixture
def ended(monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """Runs `python -m benchmarks gate WORDS`; gives its exit code, as a shell sees it, and all that it prints."""

    def run(*words: Any) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["benchmarks", "gate", *map(str, words)])
        with pytest.raises(SystemExit) as end:  # anything else would be a traceback
            main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out + printed.err

    return run


def ordered(seed: int, lost: float = 0.0) -> RunRecord:
    """A record whose manifest says the class order too."""
    manifest = run_of(seed).scenario_manifest | {"class_order": [0, 1]}
    return run_of(seed, lost, scenario_manifest=manifest)


@pytest.fixture
def champion(tmp_path):
    promote(side([ordered(seed) for seed in range(5)]), tmp_path / "er.json")
    return tmp_path / "er.json"


def forged(path, forge: Forge):
    """A champion's document at `path` whose records, an honest challenger's at first, went through `forge`."""
    honest = [json.loads(ordered(seed, 0.005).to_json()) for seed in range(5)]
    records = forge(honest)
    document = {"champion_version": 1, "name": "er", "suite": "digits"}
    document |= {"scenarios": {DOMAIN: sorted({r["seed"] for r in records})}, "records": records}
    path.write_text(json.dumps(document))
    return path


def each(change: Callable[[dict[str, Any]], object], *seeds: int) -> Forge:
    """Applies `change` to the records of `seeds`, or to all."""

    def forge(records: Records) -> Records:
        for record in records:
            if not seeds or record["seed"] in seeds:
                change(record)
        return records

    return forge


def settle(record: dict[str, Any], part: str, **changes: Any) -> None:
    """Other settings, with the identity that belongs to them."""
    record["settings"][part] |= changes
    record["identity"] = identity_of(record["settings"])


def under_five_seeds(keep: tuple[str, ...] = ()) -> Forge:
    """One record under all seeds; keep: what each has of its own."""

    def forge(records: Records) -> Records:
        copies = []
        for record in records:
            forgery = copy.deepcopy(records[1]) | {key: record[key] for key in keep}
            forgery["seed"] = forgery["settings"]["seed"] = record["seed"]
            forgery["identity"] = identity_of(forgery["settings"])
            copies.append(forgery)
        return copies

    return forge


def per_class(record: dict[str, Any]) -> None:
    settle(record, "method", settings={"buffer_size": 50, "policy": "per_class"})
    record["memory"]["stored_bytes"] = [{"buffer": 500 * (task + 1)} for task in range(3)]


def all_correct(record: dict[str, Any]) -> None:
    for i, row in enumerate(record["matrix"]["correct"]):
        row[:] = [1000 if j < i else n for j, n in enumerate(row)]


def two_tasks(record: dict[str, Any]) -> None:
    for key in ("correct", "total"):
        record["matrix"][key] = [row[:2] for row in record["matrix"][key][:3]]


def two_tasks_throughout(record: dict[str, Any]) -> None:
    two_tasks(record)
    settle(record, "scenario", tasks=2)
    for key in ("classes", "train_sizes", "test_sizes"):
        record["scenario_manifest"][key] = record["scenario_manifest"][key][:2]
    for key in ("inference", "inference_modules"):
        record["flops"][key] = record["flops"][key][:2]
    record["parameters"], stored = record["parameters"][:2], record["memory"]["stored_bytes"]
    record["memory"]["stored_bytes"] = stored[:2]


def totals_of_one(record: dict[str, Any]) -> None:
    record["matrix"]["total"] = [[1] * 3 for _ in range(4)]
    record["matrix"]["correct"] = [[int(j < i) for j in range(3)] for i in range(4)]


def totals_of_one_throughout(record: dict[str, Any]) -> None:
    totals_of_one(record)
    record["scenario_manifest"]["test_sizes"] = [1, 1, 1]


def raised(record: dict[str, Any]) -> None:
    record["matrix"]["correct"][-1] = [990 - record["seed"]] * 3


def champions_own(change: Callable[[dict[str, Any]], object]) -> Forge:
    """The champion's records, changed."""

    def forge(records: Records) -> Records:
        return each(change)([json.loads(ordered(record["seed"]).to_json()) for record in records])

    return forge


CHEATS: dict[str, tuple[Forge, str]] = {
    "one record under five seeds": (under_five_seeds(), "one run under two seeds"),
    "the same with other seconds": (under_five_seeds(("seconds",)), "equal counts in every cell"),
    "two best of five seeds": (lambda records: records[3:], "lacks seeds of the champion: 0, 1, 2"),
    "seeds of its own choice": (
        lambda _: [json.loads(ordered(seed, 0.005).to_json()) for seed in range(5, 10)],
        "lacks seeds of the champion: 0, 1, 2, 3, 4",
    ),
    "other data in seeds 1-4": (
        each(lambda r: r["scenario_manifest"].update(data_checksum="0ther"), 1, 2, 3, 4),
        "seeds 1, 2, 3, 4: other data: data_checksum c0ffee of the champion, 0ther of the challenger",
    ),
    "other data": (each(lambda r: r["scenario_manifest"].update(data_checksum="0ther")), "other data: data_checksum"),
    "no checksum": (each(lambda r: r["scenario_manifest"].pop("data_checksum"), 2), "data_checksum is missing"),
    "no class order": (
        each(lambda r: r["scenario_manifest"].pop("class_order"), 2),
        f"{DOMAIN}, seed 2: the challenger's manifest does not say class_order",
    ),
    "other classes": (
        each(lambda r: r["scenario_manifest"].update(classes=[[2, 3]] * 3), 3),
        f"{DOMAIN}, seed 3: other data: classes",
    ),
    "more training images": (
        each(lambda r: r["scenario_manifest"].update(train_sizes=[200] * 3)),
        "other data: train_sizes",
    ),
    "memory per class at the same buffer_size": (
        each(per_class),
        "keeps 1,500 bytes between tasks, the champion 500",
    ),
    "memory under another name": (
        each(lambda r: r["memory"].update(stored_bytes=[{"cache": 5000}, {}, {}])),
        "keeps 5,000 bytes between tasks, the champion 500",
    ),
    "a matrix of two tasks": (each(two_tasks), "2 tasks, its settings say 3"),
    "two tasks throughout": (each(two_tasks_throughout), "scenario.tasks is 3 and 2"),
    "totals of one": (each(totals_of_one), "a total of 1, its test set has 1000 images"),
    "totals of one throughout": (each(totals_of_one_throughout), "other data: test_sizes"),
    "all correct": (each(all_correct), "right on every test image after every task in every seed"),
    "the champion's records, raised": (champions_own(raised), "an edited copy"),
    "the champion's records as another method's": (
        champions_own(lambda r: settle(r, "method", settings={"buffer_size": 5})),
        "an edited copy",
    ),
    "another precision": (
        each(lambda r: r["environment"].update(precision="bf16")),
        "precision fp32 of the champion, bf16 of the challenger",
    ),
    "another precision in one seed": (
        each(lambda r: r["environment"].update(precision="fp16"), 4),
        f"{DOMAIN}, seed 4: precision fp32 of the champion, fp16 of the challenger",
    ),
    "more epochs": (each(lambda r: settle(r, "training", epochs=20)), "training.epochs is 2 and 20"),
    "more epochs in one seed": (each(lambda r: settle(r, "training", epochs=20), 2), "training.epochs is 2 and 20"),
    "a larger network": (each(lambda r: settle(r, "model", hidden=[64])), "model.hidden is [8] and [64]"),
    "an easier scenario": (each(lambda r: settle(r, "scenario", class_order="per_seed")), "scenario.class_order"),
    "hyperparameters chosen by seed": (
        each(lambda r: settle(r, "method", settings={"buffer_size": 40}), 3),
        "method.settings.buffer_size is 50 and 40",
    ),
    "a failed seed": (each(lambda r: r.update(status="failed", error="stopped"), 0), "has a failed cell"),
    "settings edited, identity left": (
        each(lambda r: r["settings"]["training"].update(epochs=20)),
        "do not hash to its identity",
    ),
    "correct beyond total": (each(lambda r: r["matrix"]["correct"][-1].__setitem__(0, 1001)), "1001 correct of 1000"),
    "another seed at the top": (each(lambda r: r.update(seed=7), 0), "seed 7, its settings say 0"),
}


@pytest.mark.parametrize(("forge", "sentence"), CHEATS.values(), ids=CHEATS)
def test_cheats_are_refused_with_their_reason(ended, champion, tmp_path, forge, sentence):
    code, text = ended("--champion", champion, "--challenger", forged(tmp_path / "new.json", forge))
    assert sentence in text
    assert text.rstrip().endswith("verdict: refused")
    assert code == 2


def test_the_honest_challenger_of_which_they_are_made_passes(ended, champion, tmp_path):
    code, text = ended("--champion", champion, "--challenger", forged(tmp_path / "new.json", lambda records: records))
    assert (code, text.rstrip().splitlines()[-1]) == (0, "verdict: pass")


def test_what_records_cannot_prove_is_said(ended, champion, tmp_path):
    """Counts edited by hand with care, seeds that both sides were chosen for: the verdict says what it rests on."""
    challenger = forged(tmp_path / "new.json", each(raised))
    summary, junit = tmp_path / "verdict.md", tmp_path / "verdict.xml"
    code, text = ended("--champion", champion, "--challenger", challenger, "--summary", summary, "--junit", junit)
    assert code == 0
    for said in (text, summary.read_text(), junit.read_text()):
        assert "seeds 0, 1, 2, 3, 4" in said
        assert f"commit of the champion: {'a' * 40}" in said
        assert f"commit of the challenger: {'a' * 40}" in said
        assert "nothing was run again" in said


def test_all_correct_is_believed_where_the_champion_is_too(ended, champion, tmp_path):
    """A scenario in which nothing is wrong any more, whose seeds hardly differ."""
    perfect = forged(tmp_path / "old.json", each(all_correct))
    again = forged(tmp_path / "new.json", each(lambda r: (all_correct(r), r["seconds"].update(train=1.0))))
    assert ended("--champion", perfect, "--challenger", again)[0] == 0


def test_a_rule_about_memory_takes_the_place_of_the_refusal(ended, champion, tmp_path):
    """The memory measured holds the network too: 4,000 bytes of parameters, and 500 against 1,500."""
    challenger = forged(tmp_path / "new.json", each(per_class))
    asked = ("--champion", champion, "--challenger", challenger)
    code, text = ended(*asked, "--max-growth", "memory=0.1")
    assert code == 1
    assert "+22.22%" in text
    assert ended(*asked, "--max-growth", "memory=0.25")[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"products": "oneDNN"}, "matmul backend differs: champion BLAS; challenger oneDNN"),
        ({"versions": {"torch": "2.12", "python": "3.11"}}, "torch differs: champion 2.11; challenger 2.12"),
        ({"device": "cuda"}, "kind of device differs: champion cpu; challenger cuda"),
        ({"instructions": "AVX512"}, "instruction set differs: champion not recorded; challenger AVX512"),
        ({"threads": 2}, "threads differs: champion 1; challenger 2"),
    ],
)
def test_another_environment_is_said_and_refused_where_one_image_decides(ended, champion, tmp_path, change, said):
    alike = forged(tmp_path / "alike.json", lambda records: records)
    other = forged(tmp_path / "other.json", each(lambda r: r["environment"].update(change)))
    assert "differs: champion" not in ended("--champion", champion, "--challenger", alike)[1]
    code, text = ended("--champion", champion, "--challenger", other)
    assert code == 0
    assert said in text
    # 3,000 test images: a drop of one of them is 0.00033 of the accuracy
    code, text = ended("--champion", champion, "--challenger", other, "--max-acc-drop", "0.0003")
    assert code == 2
    assert "leaves less than one of 3000 test images" in text
    assert ended("--champion", champion, "--challenger", alike, "--max-acc-drop", "0.0003")[0] != 2


def test_too_few_seeds_have_a_code_of_their_own(ended, champion, tmp_path):
    def shaken(records: Records) -> Records:
        for record, lost in zip(records, (0, 40, -40, 38, -39), strict=True):
            record["matrix"]["correct"][-1] = [n - lost for n in (950, 950, 960)]
            record["matrix"]["correct"][-1][2] = 960
        return records

    challenger = forged(tmp_path / "new.json", shaken)
    assert ended("--champion", champion, "--challenger", challenger)[0] == 3
    assert ended("--champion", champion, "--challenger", challenger, "--inconclusive-ok")[0] == 0


# ---- what is no champion, no challenger, no request -----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no champion at"),
        ("{", "no JSON document"),
        ("[" * 50_000, "no JSON document"),
        (b"\xff\xfe", "no JSON document"),
        ("[]", "no champion of version 1"),
        ('{"champion_version": true, "records": []}', "no champion of version 1"),
        ('{"champion_version": 1, "name": "er", "suite": 3, "records": []}', "suite 3"),
        ('{"champion_version": 1, "name": "er", "suite": "digits", "records": [3]}', "record 0: not a record"),
    ],
    ids=["missing", "broken", "deep", "no text", "a list", "version true", "suite 3", "record 3"],
)
@pytest.mark.parametrize("which", ["champion", "challenger"])
def test_a_file_that_is_no_champion_is_refused(ended, champion, tmp_path, content, sentence, which):
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sides = {"champion": champion, "challenger": champion} | {which: path}
    code, text = ended("--champion", sides["champion"], "--challenger", sides["challenger"])
    assert code == 2
    assert sentence in text or (content is None and "no file or folder" in text)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["settings"].update(scenario=3),
        lambda r: r["settings"].update(method=[]),
        lambda r: r["settings"]["method"].update(name={}),
        lambda r: r["settings"].pop("training"),
        lambda r: r.update(settings=None),
        lambda r: r["environment"].update(versions=3),
        lambda r: r.pop("memory"),
    ],
    ids=["scenario 3", "method []", "name {}", "no training", "no settings", "versions 3", "no memory"],
)
@pytest.mark.parametrize("which", ["champion", "challenger"])
def test_broken_settings_are_refused_and_no_traceback(ended, champion, tmp_path, change, which):
    path = forged(tmp_path / "broken.json", each(change, 1))
    sides = {"champion": champion, "challenger": champion} | {which: path}
    code, text = ended("--champion", sides["champion"], "--challenger", sides["challenger"])
    assert code == 2
    assert "record 1: " in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--challenger", "err"), "did you mean 'er'"),
        (("--challenger", "er", "--suite", "digitz"), "did you mean 'digits'"),
        (("--challenger", "er", "--suite", "EMPTY"), "should be a mapping"),
        (("--challenger", "er", "--max-drop", "acc"), "write ID=NUMBER"),
        (("--challenger", "er", "--max-acc-dorp", "0.1"), "No such option"),
        (("--challenger", "er", "--max-acc-drop", "much"), "Invalid value"),
        (("--challenger", "er", "--scenarios", "split-mnist/*"), "has no scenario 'split-mnist/*'"),
        ((), "Missing option"),
    ],
    ids=["method", "suite", "empty suite", "rule", "option", "number", "scenario", "no challenger"],
)
def test_a_wrong_request_is_no_verdict(ended, champion, tmp_path, words, sentence):
    (tmp_path / "empty.yaml").write_text("")
    words = [str(tmp_path / "empty.yaml") if word == "EMPTY" else word for word in words]
    code, text = ended("--champion", champion, *words, "--results-dir", tmp_path)
    assert code == 2
    assert sentence in text


def test_side_by_side_in_one_file_is_no_challenger(ended, tmp_path, champion):
    """Two records of one place, whatever their settings."""
    promote(side([ordered(s) for s in range(5)]), tmp_path / "new.json")
    document = json.loads((tmp_path / "new.json").read_text())
    document["records"].append(document["records"][2])
    (tmp_path / "new.json").write_text(json.dumps(document))
    code, text = ended("--champion", champion, "--challenger", tmp_path / "new.json")
    assert code == 2
    assert "seed 2 is there twice" in text
