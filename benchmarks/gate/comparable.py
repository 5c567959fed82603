"""What must agree before two sets of records are compared. A difference that need not agree is said: see `remarks`.

A challenger may differ from its champion in method and hyperparameters. All else that decides a cell is the same, seed
by seed: settings, data, tasks, test images, precision, and the bytes that a method may keep. Records that look
copied are refused. What records cannot prove, the verdict says: `remarks.provenance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from benchmarks.gate.champion import Entrant
from benchmarks.gate.remarks import environment_differences
from benchmarks.gate.rules import Rule
from benchmarks.records.columns import COSTS
from benchmarks.records.record import RunRecord
from benchmarks.request.errors import SettingsError
from benchmarks.request.identity import identity_of
from benchmarks.request.validation import has_validation
from benchmarks.wording import last_line

SHARED = ("scenario", "model", "training")
"""Parts of a record's settings that must be the same on both sides; method and seed are the others."""
DECODER = "decoder"
"""In a manifest: the library that decodes images, a part of the environment."""


def check_entrant(entrant: Entrant, role: str) -> list[str]:
    """What keeps `entrant` from any comparison: cells without success, single seeds, mixed settings, copies."""
    problems = []
    who = f"the {role} ({entrant.where})"
    for scenario, by_seed in entrant.records.items():
        for record in by_seed.values():
            if record.status != "done":
                why = last_line(record.error)
                problems.append(f"{who} has a {record.status} cell: {scenario} seed {record.seed}: {why}")
            if has_validation(record.settings["scenario"]):
                problems.append(
                    f"{who} was evaluated on validation images in {scenario}, as trials of tuning are: run the suite itself"
                )
        if len(by_seed) < 2:
            problems.append(f"{who} has a single seed in {scenario}, which shows no spread: run at least 2, better 5")
        first = next(iter(by_seed.values()))
        for record in by_seed.values():
            mixed = f"{who} mixes {{}} in {scenario}: seeds {first.seed} and {record.seed}: {{}}"
            if record.method != first.method:
                problems.append(f"{who} mixes methods in {scenario}: {first.method} and {record.method}")
            for part in (*SHARED, "method"):
                problems += [mixed.format("settings", line) for line in settings_differences(part, first, record)]
            if number_format(record) != number_format(first):
                formats = f"{number_format(first)} and {number_format(record)}"
                problems.append(mixed.format("precisions", formats))
            sums = [r.scenario_manifest.get("data_checksum") for r in (first, record)]
            if sums[0] != sums[1]:
                problems.append(mixed.format("data", f"checksums {sums[0]} and {sums[1]}"))
        for a, b in combinations(by_seed, 2):
            if _same_run(by_seed[a], by_seed[b]):
                shared = "are of the same predictions" if by_seed[a].scored else "took the same seconds in every part"
                problems.append(f"{who} has one run under two seeds in {scenario}: seeds {a} and {b} {shared}")
    return list(dict.fromkeys(problems))


def check_comparable(champion: Entrant, challenger: Entrant, rules: list[Rule]) -> None:
    """Raises SettingsError that names all in which the two differ but may not. The challenger may have seeds besides."""
    problems = check_entrant(champion, "champion") + check_entrant(challenger, "challenger")
    for scenario in sorted(champion.records.keys() ^ challenger.records.keys()):
        have, lack = ("champion", "challenger") if scenario in champion.records else ("challenger", "champion")
        problems.append(f"only the {have} has {scenario}: run it for the {lack} or narrow both with --scenarios")
    for scenario in champion.records:
        if scenario not in challenger.records:
            continue
        old, new = champion.records[scenario], challenger.records[scenario]
        missing = ", ".join(str(seed) for seed in old if seed not in new)
        if missing:
            problems.append(
                f"{scenario}: the challenger lacks seeds of the champion: {missing}. Seeds that are left out may have "
                "been chosen for their outcome: run them"
            )
        new = {seed: new[seed] for seed in old if seed in new}
        if not new:
            continue
        problems += [f"{scenario}{line}" for line in _pair_problems(old, new, rules)]
        problems += [f"{scenario}: {line}" for line in _implausible(old, new)]
        problems += [f"{scenario}: {line}" for line in _asks_for_equal_counts(old, new, rules)]
    if problems:
        raise SettingsError([f"refused: {problem}" for problem in dict.fromkeys(problems)])


def _same_run(one: RunRecord, other: RunRecord) -> bool:
    """Whether two records are of one run: hardly ever do two take the same time in every part."""
    if one.scored or other.scored:
        return one.scored is not None and other.scored is not None and one.scored.sha256 == other.scored.sha256
    return one.seconds == other.seconds


def number_format(record: RunRecord) -> str:
    """Of its forward passes; records from before there was a choice are of fp32."""
    asked = record.settings.get("training", {}).get("precision", "fp32")
    return record.environment.get("precision") or (asked if asked != "auto" else "fp32")


def bytes_held(record: RunRecord) -> int:
    """The most that its method kept besides the network after any task, whatever it calls the parts."""
    return max((sum(parts.values()) for parts in record.memory.stored_bytes), default=0)


def settings_differences(part: str, one: RunRecord, other: RunRecord) -> Iterator[str]:
    """ "training.epochs is 5 and 10" for each setting in which the two differ as identities do: a setting that is
    newer than a record is no difference where the other has its default."""
    a, b = one.settings.get(part), other.settings.get(part)
    if a == b or identity_of({part: a}) == identity_of({part: b}):
        return
    if not (isinstance(a, dict) and isinstance(b, dict)):
        yield f"{part} is {a!r} and {b!r}"
        return
    for name in sorted(a.keys() | b.keys()):
        changed = {k: v for k, v in a.items() if k != name} | ({name: b[name]} if name in b else {})
        if identity_of({part: changed}) != identity_of({part: a}):
            yield from _differences(a.get(name), b.get(name), f"{part}.{name}")


def _pair_problems(old: dict[int, RunRecord], new: dict[int, RunRecord], rules: list[Rule]) -> Iterator[str]:
    """What differs between the records of one seed, once for all seeds of which it is true; begins with ", seed 1: "."""
    found: dict[str, list[int]] = {}
    for seed, record in new.items():
        for line in _differences_of_pair(old[seed], record, rules):
            found.setdefault(line, []).append(seed)
    for line, seeds in found.items():
        which = "" if seeds == list(new) else f", seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        yield f"{which}: {line}"


def _differences_of_pair(one: RunRecord, other: RunRecord, rules: list[Rule]) -> Iterator[str]:
    """A sentence for each thing in which champion and challenger differ at one seed but may not."""
    # how another program trains is not known: the verdict says so
    by_one_program = (one.scored is None) == (other.scored is None)
    for part in SHARED if by_one_program else SHARED[:1]:
        for line in settings_differences(part, one, other):
            yield f"{line} (champion, challenger)"
    yield from _data_differences(one, other)
    formats = [number_format(r) for r in (one, other)]
    if by_one_program and formats[0] != formats[1]:
        yield (
            f"precision {formats[0]} of the champion, {formats[1]} of the challenger: they round differently at "
            "every step, so their counts do not compare; run both in one format"
        )
    yield from _memory_differences(one, other, rules)
    if any(rule.measure == "seconds" for rule in rules):
        machines = [
            f"{r.environment.get('hardware')}, {r.environment.get('threads')} threads, matmul backend "
            f"{r.environment.get('products', 'BLAS')}"
            for r in (one, other)
        ]
        if machines[0] != machines[1]:
            yield f"seconds do not compare between {machines[0]} and {machines[1]}"


def _memory_differences(one: RunRecord, other: RunRecord, rules: list[Rule]) -> Iterator[str]:
    """More bytes kept than the champion keeps, or not said how many, where its own are known."""
    # where a rule speaks of memory it judges; it takes the network's parameters into account as well
    if any(rule.measure == "memory" for rule in rules) or not one.memory.stored_bytes:
        return
    held = [bytes_held(r) for r in (one, other)]
    if not other.memory.stored_bytes:
        yield (
            f"the champion keeps {held[0]:,} bytes between tasks, of the challenger's program it is not known: score its "
            "predictions with --memory"
        )
    elif held[1] > held[0]:
        yield (
            f"the challenger keeps {held[1]:,} bytes between tasks, the champion {held[0]:,}: give it no more, or say "
            "how much more it may have, parameters included: --max-growth memory=0.1"
        )


def _data_differences(one: RunRecord, other: RunRecord) -> Iterator[str]:
    """Other images or other tasks, by manifest and by the totals that were counted."""
    old, new = one.scenario_manifest, other.scenario_manifest
    for key, value in old.items():
        if key == DECODER or new.get(key) == value:
            continue
        if key not in new:  # the other way round the champion is older than what is recorded now
            yield f"the challenger's manifest does not say {key}, the champion's does: run the challenger anew"
            continue
        shown = [text if len(text := str(v)) <= 60 else f"{text[:60]}..." for v in (value, new[key])]
        yield f"other data: {key} {shown[0]} of the champion, {shown[1]} of the challenger"
    totals = [r.matrix.total for r in (one, other)]
    if len(totals[0]) != len(totals[1]):
        yield f"{len(totals[0]) - 1} tasks were counted of the champion, {len(totals[1]) - 1} of the challenger"
        return
    cells = [(n, m) for row, other_row in zip(*totals, strict=True) for n, m in zip(row, other_row, strict=False)]
    wrong = [(n, m) for n, m in cells if n is not None and m is not None and n != m]
    if wrong:
        yield f"{wrong[0][0]} test images were counted of the champion where {wrong[0][1]} were of the challenger"


def _implausible(old: dict[int, RunRecord], new: dict[int, RunRecord]) -> Iterator[str]:
    """What a challenger's records have that its champion's have not, and that honest runs hardly ever have."""
    for a, b in combinations(new, 2):
        if counts(new[a]) == counts(new[b]) and counts(old[a]) != counts(old[b]):
            yield (
                f"the challenger's seeds {a} and {b} have equal counts in every cell, the champion's differ: "
                "one run under two seeds, or a method on which the seed has no effect; either way they are one measurement"
            )
    if all(map(_all_correct, new.values())) and not all(map(_all_correct, old.values())):
        yield (
            "the challenger is right on every test image after every task in every seed, the champion is not: "
            "such records are not believed"
        )
    for seed, record in new.items():
        for other in old.values():
            if record.scored and _same_run(record, other) and counts(record) != counts(other):
                yield (
                    f"the challenger's record of seed {seed} is of the same predictions as the champion's of seed "
                    f"{other.seed}, and its counts differ: an edited copy"
                )
            if not record.scored and _same_run(record, other) and record.comparable() != other.comparable():
                yield (
                    f"the challenger's record of seed {seed} took the same seconds in every part as the champion's of "
                    f"seed {other.seed}, and differs from it: an edited copy"
                )


def _asks_for_equal_counts(old: dict[int, RunRecord], new: dict[int, RunRecord], rules: list[Rule]) -> Iterator[str]:
    """Rules with margins of less than one image, where the two environments alone move counts by some images.

    Elsewhere such movements are noise as that between seeds is, of which the statistics take account: equals still
    fail in at most 5% of gates.
    """
    differing = environment_differences([*old.values()], [*new.values()])
    images = sum(next(iter(old.values())).scenario_manifest.get("test_sizes") or [0])
    for rule in rules:
        if differing and images and rule.kind == "drop" and rule.measure not in COSTS and rule.margin < 1 / images:
            yield (
                f"the rule {str(rule)!r} leaves less than one of {images} test images, but the two were run with other "
                f"{', '.join(differing)}, which moves counts by some images: run both alike or widen the rule"
            )


def counts(record: RunRecord) -> tuple[Any, Any]:
    """All that scores are made of."""
    return record.matrix, record.matrix_other


def _all_correct(record: RunRecord) -> bool:
    """Whether all test images of every task learned so far were right, in every row."""
    rows = list(zip(record.matrix.correct, record.matrix.total, strict=True))
    return all(correct[:i] == total[:i] for i, (correct, total) in enumerate(rows))


def _differences(one: Any, other: Any, key: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(name), other.get(name), f"{key}.{name}")
    elif one != other:
        yield f"{key} is {one!r} and {other!r}"
