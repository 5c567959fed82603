"""What was chosen, as a suite: like the one that was tuned, with the settings of the best trials and how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.records.atomic_write import write_whole
from benchmarks.request.catalogue import like_from
from benchmarks.request.errors import SettingsError
from benchmarks.request.suite import Suite
from benchmarks.request.suite_yaml import read_yaml
from benchmarks.request.tuned import Choice, Tuned, row_hash
from benchmarks.tuning.library import optuna_version
from benchmarks.tuning.rounds import Records, cells_of
from benchmarks.tuning.studies import Study, overridden

HEAD = "# Written by `tune`: run it again to renew it. What `tuned` says holds for rows that are run with these settings.\n"


class _Dumper(yaml.SafeDumper):
    """YAML with lists of plain values in a line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        return super().represent_sequence(tag, sequence, not any(isinstance(part, dict) for part in sequence))


def check_target(path: Path) -> None:
    """Raises SettingsError where the file is there and was not written by `tune`."""
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # a folder that is a file is said where records are to be written
        return
    except (OSError, ValueError, yaml.YAMLError):
        document = None
    if not isinstance(document, dict) or "tuned" not in document:
        raise SettingsError([f"{path} is there and no suite that `tune` wrote: name another file with --out"])


def tuned_of(studies: Sequence[Study], records: Records, folder: Path) -> Tuned:
    """What the studies chose. Raises SettingsError where no trial of one succeeded."""
    problems = [_without_success(study, records) for study in studies if study.best() is None]
    if problems:
        raise SettingsError(problems)
    space = studies[0].space
    return Tuned(
        **{
            name: getattr(space, name)
            for name in ("rule", "where", "sampler", "trials", "seed", "validation", "metric")
        },
        batch=space.at_once,
        seeds=sorted({cell.seed for study in studies for trial in study.trials for cell in trial.cells}),
        optuna=optuna_version(),
        records=folder.as_posix(),
        choices=[_choice(study, records) for study in studies],
    )


def write_suite(path: Path, like: str, suite: Suite, tuned: Tuned) -> Path:
    """Writes the suite. like: how `suite` was named in the request."""
    document: dict[str, Any] = {"like": like_from(like, path.parent), "title": f"{suite.title}, hyperparameters tuned"}
    if suite.kind == "protocol":  # with other settings it is that no longer
        document["kind"] = "benchmark"
    document["overrides"] = [
        {"scenarios": choice.scenarios, "methods": [choice.method], **overridden(choice.settings), "why": tuned.text}
        for choice in tuned.choices
    ]
    if chosen := {m: c.model_dump() for m, c in suite.chosen.items() if m not in {c.method for c in tuned.choices}}:
        document["chosen"] = chosen
    document["tuned"] = tuned.model_dump(mode="json", exclude_none=True)
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return write_whole(path, HEAD + text)


def _without_success(study: Study, records: Records) -> str:
    record = next(r for r in (records[c.identity] for c in cells_of(study.trials)) if r.status != "done")
    last = (record.error or "").strip().splitlines()[-1:]
    return f"no trial of {study.label} succeeded: choose another space; the first is {record.status}: {''.join(last)}"


def _choice(study: Study, records: Records) -> Choice:
    number = study.best()
    assert number is not None, "checked before"
    best, cells = study.trials[number], cells_of(study.trials)
    assert best.value is not None, "the best did not diverge"
    return Choice(
        scenarios=study.targets,
        method=study.method,
        settings=best.settings,
        value=round(best.value, 6),
        trial=number,
        unsuccessful=sum(trial.value is None for trial in study.trials),
        cells=[cell.identity[:12] for cell in cells],
        flops=sum(records[cell.identity].flops.training for cell in cells),
        row=row_hash(best.cells[0].identity_settings(), study.space.rule),
    )
