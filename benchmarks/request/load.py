"""A suite as it was asked for: read, narrowed, changed and checked.

What is wrong with names alone is said before torch is imported, which takes longer than all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.request.catalogue import is_file
from benchmarks.request.errors import SettingsError
from benchmarks.request.plugins import include_installed
from benchmarks.request.selection import add_registered, parse_seeds, select
from benchmarks.request.suite_yaml import read_suite, written_out

if TYPE_CHECKING:
    from benchmarks.request.suite import Suite


def load_suite(
    name: str,
    methods: list[str] | None = None,
    scenarios: list[str] | None = None,
    seeds: str | list[int] | None = None,
    changes: list[str] | None = None,
) -> Suite:
    """The suite `name` (or a path to a YAML file), narrowed to the methods, scenarios and seeds named, with
    `changes` ("dotted.key=value") applied. Raises SettingsError with everything that is wrong with it.

    `methods` may name, beside the suite's own, any method there is: it then has its defaults.
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
    for kind, wanted in (("scenario", scenarios), ("method", methods)):
        if wanted is not None:
            document[f"{kind}s"] = select(kind, document[f"{kind}s"], wanted, name, problems)
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
