"""The command line: `python -m benchmarks VERB`. Each file beside this one has a group of verbs.

Only what a verb needs is imported, where it needs it: help and refusals take no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from benchmarks.cli.check import check, data
from benchmarks.cli.console import say, warn
from benchmarks.cli.gate import gate, promote
from benchmarks.cli.init import init
from benchmarks.cli.list import list_
from benchmarks.cli.options import Include
from benchmarks.cli.publish import publish, reproduce
from benchmarks.cli.report import guide, report
from benchmarks.cli.run import cost, run
from benchmarks.cli.score import manifest, score
from benchmarks.cli.selftest import selftest
from benchmarks.cli.show import show
from benchmarks.cli.status import StatusCommand, status
from benchmarks.cli.tune import tune
from benchmarks.executors.signals import Stopped, stopped_by_signals
from benchmarks.plain_text import print_what_can_be_printed
from benchmarks.request import plugins
from benchmarks.request.errors import SettingsError

VERBS: dict[str, tuple[Callable[..., None], ...]] = {
    "Run": (run, cost, status, tune),
    "Read": (report, show, guide, list_),
    "Publish": (publish, reproduce),
    "Gate": (gate, promote),
    "Other programs": (manifest, score),
    "Check": (check, data, selftest),
    "Begin": (init,),
}
"""Groups of verbs, as help shows them."""

app = typer.Typer(
    help="""Continual-learning benchmarks: run a grid, read an honest table.

    A suite is a grid of scenarios, methods and seeds. Each of its combinations is a cell, and a cell that has run leaves
    a record; tables, plots and verdicts are made from records. Begin with: run digits""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _with_plugins(verb: Callable[..., None]) -> Callable[..., None]:
    """`verb` with the option --include, which all have: what it names is there before the verb begins."""

    @wraps(verb)
    def including(*arguments: Any, include: list[str] | None = None, **options: Any) -> None:
        for plugin in include or []:
            plugins.include(plugin)
        verb(*arguments, **options)

    own = inspect.signature(verb, eval_str=True)
    extra = inspect.Parameter("include", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Include)
    including.__signature__ = own.replace(parameters=[*own.parameters.values(), extra])  # type: ignore[attr-defined]
    including.__annotations__ = {p.name: p.annotation for p in (*own.parameters.values(), extra)}
    return including


for _group, _verbs in VERBS.items():
    for _verb in _verbs:
        _class = StatusCommand if _verb is status else None
        app.command(_verb.__name__.rstrip("_"), cls=_class, rich_help_panel=_group)(_with_plugins(_verb))


def _say_version(asked: bool) -> None:
    if asked:
        from benchmarks.cli.catalogue import version_line

        say(version_line())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="say which version this is", callback=_say_version, is_eager=True)
    ] = False,
) -> None: ...


def main() -> None:
    """Runs the command line; what is wrong with a request is said in full and exits with 2."""
    print_what_can_be_printed()
    with stopped_by_signals():
        try:
            app()
        except Stopped as stop:
            warn(f"stopped by {stop.name}")
            raise
        except SettingsError as error:
            for problem in error.problems:
                warn(f"error: {problem}")
            raise SystemExit(2) from None
        except Exception as error:
            line = _in_a_line(error)
            if line is None:
                raise
            warn(f"error: {line}")
            raise SystemExit(2) from None


def _in_a_line(error: Exception) -> str | None:
    """What the user can mend, in a line: a file, data that is not there, a full disk. None for what is a fault of ours."""
    from benchmarks.executors.contract import StorageFailed  # with torch, which help and refusals do without
    from scenarios import DataNotFound

    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, (DataNotFound, StorageFailed)) else None
