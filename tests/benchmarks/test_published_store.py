"""The records of a published suite: the same bytes for the same records, and each line checked when it is read."""

from __future__ import annotations

import json

import pytest

from benchmarks.gate.champion import find_challenger
from benchmarks.records.published import FILE, PublishedStore
from benchmarks.records.store import Store
from tests.benchmarks.test_report_fixtures import planted

RECORDS = [planted(method, seed) for method in ("er", "ewc") for seed in (0, 2, 10)]


def test_a_line_a_record_sorted_and_equal_when_read(tmp_path):
    first, second = PublishedStore(tmp_path / "a"), PublishedStore(tmp_path / "b")
    first.save(RECORDS)
    second.save(RECORDS[::-1])
    assert first.file.read_bytes() == second.file.read_bytes()
    lines = first.file.read_text().splitlines()
    order = [(d["scenario"], d["method"], d["seed"]) for d in map(json.loads, lines)]
    assert order == [(r.scenario, r.method, r.seed) for r in RECORDS]
    scan = first.scan()
    assert scan.problems == []
    assert {i: r.to_json() for i, r in scan.records.items()} == {r.identity: r.to_json() for r in RECORDS}
    assert scan.places == {r.identity: f"records.jsonl#L{n}" for n, r in enumerate(RECORDS, 1)}
    first.save(RECORDS[:1])
    assert list(first.scan().records) == [RECORDS[0].identity]
    assert [path.name for path in (tmp_path / "a").iterdir()] == [FILE]


DAMAGE = {
    "cut off": (lambda line: line[:100], "no JSON document"),
    "empty": (lambda line: b"", "no JSON document"),
    "no text": (lambda line: b"\xff\xfe" + line, "no JSON document"),
    "left by a merge": (lambda line: b"<<<<<<< HEAD", "no JSON document"),
    "not a number": (lambda line: line.replace(b'"steps":', b'"steps":NaN,"s":'), "no JSON document"),
    "another version": (
        lambda line: line.replace(b'"record_version":1', b'"record_version":9'),
        "not a record of version",
    ),
    "other settings": (lambda line: line.replace(b'"epochs":', b'"epochs":9,"was":'), "edited by hand"),
    "a score too high": (lambda line: line.replace(b'"correct":[[', b'"correct":[[9999999,'), ""),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_line_is_named_and_the_others_are_read(tmp_path, kind):
    damage, said = DAMAGE[kind]
    store = PublishedStore(tmp_path)
    store.save(RECORDS)
    lines = store.file.read_bytes().splitlines()
    assert damage(lines[2]) != lines[2]
    lines[2] = damage(lines[2])
    store.file.write_bytes(b"\n".join(lines))  # and no line end at the end
    scan = store.scan()
    (problem,) = scan.problems
    assert problem.startswith(f"skipped {store.file}:3: ")
    assert said in problem
    assert list(scan.records.values()) == RECORDS[:2] + RECORDS[3:]


def test_two_lines_of_one_cell_are_named(tmp_path):
    store = PublishedStore(tmp_path)
    store.save([*RECORDS, RECORDS[1].model_copy(update={"steps": RECORDS[1].steps + 1})])
    scan = store.scan()
    assert scan.problems == [f"skipped {store.file}:3: it is of the same cell as records.jsonl#L2"]
    assert scan.records[RECORDS[1].identity] == RECORDS[1]


def test_a_file_that_cannot_be_read_is_named_and_none_is_no_fault(tmp_path):
    store = PublishedStore(tmp_path)
    assert (store.scan().records, store.scan().problems) == ({}, [])
    store.file.mkdir()
    (problem,) = store.scan().problems
    assert problem.startswith(f"skipped {store.file}: ")


def test_records_challenge_from_either_kind_of_folder(tmp_path):
    own = [record for record in RECORDS if record.method == "er"]
    PublishedStore(tmp_path / "published").save(own)
    for record in own:
        Store(tmp_path / "runs").save(record)
    published, runs = (find_challenger(str(tmp_path / folder)).records for folder in ("published", "runs"))
    assert published == runs == {own[0].scenario: {r.seed: r for r in own}}
