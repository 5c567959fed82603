"""What `gate` and `promote` do: find both sides, judge, write what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.gate.champion import Entrant, find_challenger, load_champion, names_path, promote
from benchmarks.gate.comparable import check_entrant
from benchmarks.gate.judge import Verdict, gate
from benchmarks.gate.render import json_text, junit, markdown, terminal
from benchmarks.gate.rules import Rule
from benchmarks.records.atomic_write import write_whole
from benchmarks.request.errors import SettingsError

RENDERERS: dict[str, Callable[[Verdict], str]] = {"--json": json_text, "--summary": markdown, "--junit": junit}


def run_gate(
    champion: Path,
    challenger: str,
    rules: list[Rule],
    suite: str | None = None,
    results_dir: Path = Path("results"),
    scenarios: list[str] | None = None,
    changes: list[str] | None = None,
    outputs: dict[str, Path | None] | None = None,
    inconclusive_ok: bool = False,
    rerun: int = 0,
    data_root: str | None = None,
    devices: list[str] | None = None,
) -> tuple[Verdict, str]:
    """The verdict and its text for the terminal; writes the `outputs` asked for ({"--json": path, ...}).

    A method as challenger is looked for in the champion's suite unless `suite` names one, with the champion's scenarios
    and seeds. Where the two may not be compared the verdict is "refused", and is written all the same.
    rerun: how many cells of the challenger are run again on `devices` and compared with their records.
    """

    def again(entrant: Entrant) -> list[str]:
        from benchmarks.gate.rerun import run_again  # with torch, which judging records does without

        return run_again(entrant, rerun, data_root, devices or ["cpu"])

    try:
        holder = load_champion(champion)
        if scenarios is not None:
            holder = holder.only(scenarios)
        wanted = scenarios if names_path(challenger) else list(holder.records)
        other = find_challenger(challenger, suite or holder.suite, results_dir, wanted, holder.scenarios, changes)
        verdict = gate(holder, other, rules, run_again=again if rerun else None)
    except SettingsError as error:
        reasons = tuple(problem.removeprefix("refused: ") for problem in error.problems)
        verdict = Verdict("refused", str(champion), challenger, refusal=reasons)
    verdict = replace(verdict, inconclusive_ok=inconclusive_ok)
    for option, path in (outputs or {}).items():
        if path is not None:
            _write(option, path, RENDERERS[option](verdict))
    return verdict, terminal(verdict)


def run_promote(
    champion: Path,
    challenger: str,
    suite: str | None = None,
    results_dir: Path = Path("results"),
    scenarios: list[str] | None = None,
    seeds: list[int] | None = None,
    changes: list[str] | None = None,
) -> str:
    """Makes the challenger the champion and says so. Raises SettingsError where its records could not be a champion's."""
    entrant = find_challenger(challenger, suite, results_dir, scenarios, seeds, changes)
    problems = check_entrant(entrant, "challenger")
    if problems:
        raise SettingsError([f"not promoted: {problem}" for problem in problems])
    kept = promote(entrant, champion)
    n = sum(map(len, entrant.records.values()))
    text = f"{champion}: {entrant.name} with {n} records of {', '.join(entrant.records)}"
    return text + (f"; the champion before it is now {kept}" if kept else "")


def _write(option: str, path: Path, text: str) -> None:
    """A job summary is appended to, as other steps write there too; other files are replaced whole."""
    try:
        if option == "--summary":
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
            return
        write_whole(path, text)
    except OSError as error:
        raise SettingsError([f"{option} {path}: {error.strerror or error}"]) from None
