"""A suite as it was asked for: read, narrowed, changed and checked.

What is wrong with names alone is said before torch is imported, which takes longer than all else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from benchmarks.request.catalogue import is_file
from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import include_installed
from benchmarks.request.selection import add_registered, parse_seeds, select
from benchmarks.request.suite_yaml import read_suite, written_out

if TYPE_CHECKING:
    from benchmarks.request.suite import Suite


def _forget_chosen(document: dict[str, Any], changes: list[str]) -> None:
    """What --set changes is not as a paper has it: the settings of a method, or of all."""
    chosen = document.get("chosen")
    if isinstance(chosen, dict):
        roots = [change.partition("=")[0].strip().split(".") for change in changes]
        of_all = any(root[0] != "methods" for root in roots)
        changed = {root[1] for root in roots if root[0] == "methods" and len(root) > 1}
        document["chosen"] = {} if of_all else {k: v for k, v in chosen.items() if k not in changed}


def load_suite(
    name: str,
    methods: list[str] | None = None,
    scenarios: list[str] | None = None,
    seeds: str | list[int] | None = None,
    changes: list[str] | None = None,
    scored: Callable[[str], Collection[str]] = lambda suite: (),
) -> Suite:
    """The suite `name` (or a path to a YAML file), narrowed to the methods, scenarios and seeds named, with
    `changes` ("dotted.key=value") applied. Raises SettingsError with everything that is wrong with it.

    `methods` may name, beside the suite's own, any method there is: it then has its defaults; and programs whose
    predictions were scored, of which `scored` gives the names for a suite's.
    """
    shape: list[str] = []
    include_installed()
    document = written_out(read_suite(name), shape)
    problems = [f"suite {name}: {line}" for line in shape]
    if isinstance(seeds, str):
        seeds = parse_seeds(seeds, problems)
    own_methods = set(document["methods"])
    add_registered(document["methods"], methods or [])
    as_shipped = not (is_file(name) or changes) and set(document["methods"]) == own_methods
    if changes:
        from benchmarks.request.changes import apply_change

        for change in changes:
            apply_change(document, change, problems)
        _forget_chosen(document, changes)
    if scenarios is not None:
        document["scenarios"] = select("scenario", document["scenarios"], scenarios, name, problems)
    if methods is not None:
        to_run = _to_run(methods, document, scored)
        all_scored = bool(methods) and not to_run
        document["methods"] = {} if all_scored else select("method", document["methods"], to_run, name, problems)
        document["scored"] = methods
    if seeds is not None:
        document["seeds"], document["scenario_seeds"] = seeds, {}
    asked = {"scenarios": scenarios, "methods": methods, "seeds": [str(s) for s in seeds] if seeds else None}
    parts = [f"{kind} {', '.join(values)}" for kind, values in asked.items() if values is not None]
    document["selection"] = "; ".join([*parts, *(changes or [])])
    if problems and as_shipped:  # of which nothing else can be wrong
        raise SettingsError(problems)
    from benchmarks.request.grid import resolved_pairs
    from benchmarks.request.suite import checked

    suite = checked(document, name, problems)
    try:
        resolved_pairs(suite)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(list(dict.fromkeys(problems)))
    return suite


def _to_run(wanted: list[str], document: dict[str, Any], scored: Callable[[str], Collection[str]]) -> list[str]:
    """Those of `wanted` that are not just programs whose predictions were scored."""
    others = [pattern for pattern in wanted if not any(fnmatchcase(name, pattern) for name in document["methods"])]
    names = scored(str(document["name"])) if others else ()
    return [p for p in wanted if p not in others or not any(fnmatchcase(name, p) for name in names)]
