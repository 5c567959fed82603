"""Tuning, round by round: every study draws a batch, what has no record is run, every study is told the results.

Nothing is kept but the records of trials. A tuning that is begun again draws the same trials, finds those that have
been run, and goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.records.record import RunRecord
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import CellSettings
from benchmarks.tuning.studies import Study, Trial, value_of

Records = Mapping[str, RunRecord]
Run = Callable[[list[CellSettings]], Records]
"""Runs those of the cells that have no record yet, and gives all records by identity."""


class Unfinished(RuntimeError):
    """Trials were not run to their end; the message says which. Tuning again tries them again."""


def tune(studies: Sequence[Study], run: Run, say: Callable[[str], object] = lambda line: None) -> Records:
    """Takes every study through all its trials; gives the records of them. Raises Unfinished, or SettingsError where a
    study draws settings that no cell can have."""
    records: Records = {}
    while waiting := [study for study in studies if not study.is_done]:
        batches = _drawn(waiting)
        records = run(cells_of(trial for trials in batches for trial in trials))
        valued, problems = [], []
        for study, trials in zip(waiting, batches, strict=True):
            try:
                valued.append(_valued(study, trials, records))
            except Unfinished as error:
                problems.append(str(error))
        if problems:
            raise Unfinished("\n".join(problems))
        for study, trials in zip(waiting, valued, strict=True):
            study.conclude(trials)
            say(progress_of(study))
    return records


def cells_of(trials) -> list[CellSettings]:
    """The cells of the trials, each once: two trials may have the same settings."""
    return list({cell.identity: cell for trial in trials for cell in trial.cells}.values())


def progress_of(study: Study) -> str:
    """ "er in split-digits/class: 8 of 12 trials, best acc 0.8123 on validation images: training.optimizer.lr 0.05"."""
    done = f"{study.label}: {len(study.trials)} of {study.space.trials} trials"
    best = study.best()
    if best is None:
        return f"{done}, none of which succeeded"
    trial = study.trials[best]
    settings = ", ".join(f"{key} {value}" for key, value in trial.settings.items())
    equal = sum(other.value == trial.value for other in study.trials) - 1
    return f"{done}, best {study.space.metric} {trial.value:.4f} on validation images: {settings}" + (
        f"; {equal} other trial{'s are' if equal > 1 else ' is'} as good, the first of them is taken" if equal else ""
    )


def _drawn(studies: Sequence[Study]) -> list[list[Trial]]:
    problems: list[str] = []
    batches = []
    for study in studies:
        try:
            batches.append(study.next_trials())
        except SettingsError as error:
            problems += [f"methods.{study.method}: {line}" for line in error.problems]
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return batches


def _valued(study: Study, trials: list[Trial], records: Records) -> list[Trial]:
    """The trials with their values. Raises Unfinished."""
    valued, problems = [], []
    for number, trial in enumerate(trials, len(study.trials)):
        try:
            valued.append(replace(trial, value=value_of(trial, records, study.space.metric)))
        except KeyError as error:
            settings = ", ".join(f"{key} {value}" for key, value in trial.settings.items())
            problems.append(f"trial {number} of {study.label} ({settings}) has not come to its end: {error.args[0]}")
    if problems:
        raise Unfinished("\n".join(problems))
    return valued
