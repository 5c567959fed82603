"""`python -m benchmarks VERB`, and the command `retain VERB` where Retain is installed.

Retain's packages have plain names, and so may those of the repository that a user stands in. `retain` does not look
there, and neither does `python -m benchmarks`, which by itself would look there first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.own_packages import ROOT, in_the_way


def main() -> None:
    """Runs the command line. Exits with 2 where another package stands in for one of Retain's."""
    if Path.cwd() != ROOT:
        if sys.path[:1] in ([""], [os.getcwd()]):
            del sys.path[0]
        os.environ["PYTHONSAFEPATH"] = "1"  # of processes started from here: a fork server, ranks
    if standing := in_the_way():
        found, name = standing
        print(
            f"error: {found} stands before Retain's own package {name!r} on Python's path: take its folder out of "
            "PYTHONPATH, or install Retain into an environment of its own",
            file=sys.stderr,
        )
        raise SystemExit(2)
    from benchmarks.cli.app import main as command_line
    from benchmarks.request.notes import keep_notes

    keep_notes()  # here and nowhere below: in a process of its own alone are the classes those of the source
    command_line()


if __name__ == "__main__":
    main()
