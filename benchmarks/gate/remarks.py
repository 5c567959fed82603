"""What a verdict says of its records: where they come from, what they cannot prove, and in which environments they ran.

Another matmul backend, torch, processor or number of threads adds up in another order. A training run then ends with
counts that differ by some images: over 40 cells of suite digits, run with and without AVX-512, by up to 4% of a task's
test images and 1.5% of all. It is noise without a direction, as that between seeds is, and is said; `comparable`
refuses only where a rule leaves less than one image. Another precision is no such noise and is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.gate.champion import Entrant
from benchmarks.records.record import RunRecord

UNTOLD = "not recorded"


def _told(key: str, default: Any = UNTOLD) -> Callable[[RunRecord], str]:
    return lambda record: str(record.environment.get(key, default))


def _version(name: str) -> Callable[[RunRecord], str]:
    return lambda record: str(record.environment.get("versions", {}).get(name, UNTOLD))


FACETS: dict[str, Callable[[RunRecord], str]] = {
    # records from before the library was recorded all used the BLAS, in a single process
    "matmul backend": _told("products", "BLAS"),
    **{name: _version(name) for name in ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "python")},
    "kind of device": _told("device"),
    "hardware": _told("hardware"),
    "instruction set": _told("instructions"),
    "threads": _told("threads"),
    "processes": _told("processes", 1),
    "image decoder": lambda record: str(record.scenario_manifest.get("decoder", "none")),
}
"""Of an environment, what can move a count by itself."""


def environment_differences(champion: list[RunRecord], challenger: list[RunRecord]) -> dict[str, tuple[str, str]]:
    """Facets that differ between the two, each with what the champion's and the challenger's records say."""
    said = {name: (_several(map(of, champion)), _several(map(of, challenger))) for name, of in FACETS.items()}
    return {name: values for name, values in said.items() if values[0] != values[1]}


def left_out(champion: Entrant, challenger: Entrant) -> list[str]:
    """Seeds of the challenger that are not compared."""
    notes = []
    for scenario, seeds in champion.scenarios.items():
        left = [str(seed) for seed in challenger.scenarios[scenario] if seed not in seeds]
        if left:
            notes.append(f"{scenario}: seeds that the champion has not are left out: {', '.join(left)}")
    return notes


def remarks(champion: Entrant, challenger: Entrant) -> list[str]:
    """Differences that a reader should know of: environments, code, networks that end larger."""
    notes = []
    old, new = _all(champion), _all(challenger)
    differing = environment_differences(old, new)
    for name, (one, other) in differing.items():
        notes.append(f"{name} differs: champion {one}; challenger {other}")
    if differing:
        notes.append(f"other {', '.join(differing)}: this alone may move counts by some images, in either direction")
    notes += _code_notes(old, new)
    notes += _scored_notes(champion, challenger)
    for scenario, by_seed in champion.records.items():
        shared = [seed for seed in by_seed if seed in challenger.records[scenario]]
        sizes = [
            max(side.records[scenario][seed].parameters[-1].get("total", 0) for seed in shared)
            for side in (champion, challenger)
            if all(side.records[scenario][seed].parameters for seed in shared)
        ]
        if len(sizes) == 2 and sizes[1] > sizes[0]:
            notes.append(
                f"{scenario}: the challenger's network ends with {sizes[1]:,} parameters, the champion's {sizes[0]:,}"
            )
    return notes


def provenance(champion: Entrant, challenger: Entrant, run_again: list[str]) -> list[str]:
    """Seeds, commits, and what was proven by running. run_again: a sentence for each cell of the challenger that was."""
    seeds = {scenario: ", ".join(map(str, asked)) for scenario, asked in champion.scenarios.items()}
    listed = set(seeds.values())
    said = [f"seeds {'; '.join(listed)}"] if len(listed) == 1 else [f"{s}: seeds {text}" for s, text in seeds.items()]
    for role, side in (("champion", champion), ("challenger", challenger)):
        commits = sorted({str(record.environment.get("commit")) for record in _all(side)})
        said.append(f"commit of the {role}: {', '.join(commits)}")
        if any(commit == "None" or commit.endswith("+dirty") for commit in commits):
            said.append(f"the {role}'s records come from code that is not committed")
    if run_again:
        return said + run_again
    return [
        *said,
        "nothing was run again: records do not show whether counts were edited or seeds chosen for their outcome; "
        "--rerun N runs N of the challenger's cells here and compares",
    ]


def _scored_notes(champion: Entrant, challenger: Entrant) -> list[str]:
    """What cannot be known of predictions that another program made."""
    scored = [role for role, side in (("champion", champion), ("challenger", challenger)) if side.scored]
    if not scored:
        return []
    notes = [
        f"counts of the {' and the '.join(scored)} are of predictions that another program made: its training was not seen "
        "here, and what it costs is as its user said"
    ]
    if len(scored) == 1:
        notes.append(f"whether the {scored[0]}'s network and training are those of the other side is not known")
    return notes


def _code_notes(old: list[RunRecord], new: list[RunRecord]) -> list[str]:
    """Files that decide the cells and differ between the sides, or within one, where the records tell."""
    notes = []
    one, other = _sources(old), _sources(new)
    for role, by_file in (("champion", one), ("challenger", other)):
        mixed = sorted(file for file, hashes in by_file.items() if len(hashes) > 1)
        if mixed:
            notes.append(f"the {role}'s records were made by several versions of {', '.join(mixed)}")
    if one and other:
        files = sorted(file for file in one.keys() | other.keys() if one.get(file) != other.get(file))
        if files:
            notes.append(f"code that decides the cells differs: {', '.join(files)}")
    return notes


def _sources(records: Iterable[RunRecord]) -> dict[str, set[str]]:
    """File -> the hashes that records give of it."""
    hashes: dict[str, set[str]] = {}
    for record in records:
        for file, digest in (getattr(record, "source", None) or {}).items():
            hashes.setdefault(file, set()).add(digest)
    return hashes


def _several(values: Iterable[str]) -> str:
    return " / ".join(sorted(set(values)))


def _all(entrant: Entrant) -> list[RunRecord]:
    return [record for by_seed in entrant.records.values() for record in by_seed.values()]
