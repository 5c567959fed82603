"""What must agree before two methods are compared, and what is worth saying though it need not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.config import SettingsError
from benchmarks.gate.champion import Entrant
from benchmarks.gate.rules import Rule
from benchmarks.record import RunRecord

SHARED = ("scenario", "model", "training")
"""Parts of a record's settings that must be the same on both sides; method and seed are the others."""


def check_entrant(entrant: Entrant, role: str) -> list[str]:
    """What keeps `entrant` from any comparison: cells that did not succeed, single seeds, mixed settings."""
    problems = []
    who = f"the {role} ({entrant.where})"
    for scenario, own in entrant.records.items():
        for record in own.values():
            if record.status != "done":
                last = ((record.error or "").strip().splitlines() or ["no reason recorded"])[-1]
                problems.append(f"{who} has a {record.status} cell: {scenario} seed {record.seed}: {last}")
        if len(own) < 2:
            problems.append(f"{who} has a single seed in {scenario}, which shows no spread: run at least 2, better 5")
        first = next(iter(own.values()))
        for record in own.values():
            if record.method != first.method:
                problems.append(f"{who} mixes methods in {scenario}: {first.method} and {record.method}")
            for key in (*SHARED, "method"):
                for line in _differences(first.settings.get(key), record.settings.get(key), key):
                    problems.append(f"{who} mixes settings in {scenario}: seeds {first.seed} and {record.seed}: {line}")
    return list(dict.fromkeys(problems))


def check_comparable(champion: Entrant, challenger: Entrant, rules: list[Rule]) -> None:
    """Raises SettingsError that names all in which the two differ but may not."""
    problems = check_entrant(champion, "champion") + check_entrant(challenger, "challenger")
    for scenario in sorted(champion.records.keys() ^ challenger.records.keys()):
        have, lack = ("champion", "challenger") if scenario in champion.records else ("challenger", "champion")
        problems.append(f"only the {have} has {scenario}: run it for the {lack} or narrow both with --scenarios")
    for scenario, one, other in _pairs(champion, challenger):
        for key in SHARED:
            for line in _differences(one.settings.get(key), other.settings.get(key), key):
                problems.append(f"{scenario}: {line} (champion, challenger)")
        sums = [r.scenario_manifest.get("data_checksum") for r in (one, other)]
        if sums[0] != sums[1]:
            problems.append(f"{scenario}: other data: checksum {sums[0]} of the champion, {sums[1]} of the challenger")
        room = [r.settings["method"]["settings"].get("buffer_size") for r in (one, other)]
        if None not in room and room[1] > room[0]:
            problems.append(f"{scenario}: the challenger may store more: buffer_size {room[1]}, champion {room[0]}")
        if any(rule.measure == "seconds" for rule in rules):
            machines = [
                f"{r.environment.get('hardware')}, {r.environment.get('threads')} threads, float32 products by "
                f"{r.environment.get('products', 'BLAS')}"
                for r in (one, other)
            ]
            if machines[0] != machines[1]:
                problems.append(f"{scenario}: seconds do not compare between {machines[0]} and {machines[1]}")
    if problems:
        raise SettingsError([f"refused: {problem}" for problem in dict.fromkeys(problems)])


def remarks(champion: Entrant, challenger: Entrant) -> list[str]:
    """Differences that a reader should know of: seeds left out, library versions, hardware, uncommitted code."""
    notes = []
    for scenario, seeds in champion.scenarios.items():
        others = challenger.scenarios[scenario]
        shared = set(seeds) & set(others)
        if len(shared) < 2:
            notes.append(f"{scenario}: fewer than two shared seeds, so the samples are compared unpaired")
        elif set(seeds) != set(others):
            left = ", ".join(map(str, sorted(set(seeds) ^ set(others))))
            notes.append(f"{scenario}: paired over the {len(shared)} shared seeds; left out: {left}")
    for key in ("versions", "hardware"):
        one, other = ({str(r.environment.get(key)) for r in _all(side)} for side in (champion, challenger))
        if one != other:
            notes.append(f"{key} differ: champion {' / '.join(sorted(one))}; challenger {' / '.join(sorted(other))}")
    for role, side in (("champion", champion), ("challenger", challenger)):
        commits = sorted({str(r.environment.get("commit")) for r in _all(side)})
        if any(c == "None" or c.endswith("+dirty") for c in commits):
            notes.append(f"the {role}'s records come from code that is not committed ({', '.join(commits)})")
    return notes


def _pairs(champion: Entrant, challenger: Entrant) -> Iterator[tuple[str, RunRecord, RunRecord]]:
    """One record of each side for every scenario both have; within a side they agree (`check_entrant`)."""
    for scenario, own in champion.records.items():
        if scenario in challenger.records:
            yield scenario, next(iter(own.values())), next(iter(challenger.records[scenario].values()))


def _all(entrant: Entrant) -> list[RunRecord]:
    return [record for own in entrant.records.values() for record in own.values()]


def _differences(one: Any, other: Any, key: str) -> Iterator[str]:
    """ "training.epochs is 5 and 10" for each setting in which the two differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(name), other.get(name), f"{key}.{name}")
    elif one != other:
        yield f"{key} is {one!r} and {other!r}"
