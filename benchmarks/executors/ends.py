"""How a worker's process ended, and what it printed last."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import IO


def cause(code: int | None, oom_kills_before: int) -> str:
    """In words, what `code` of multiprocessing says; `oom_kills` when the process was given its cell."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        text = f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # a real-time signal
        text = f"signal {-code}"
    if -code == signal.SIGKILL and oom_kills() > oom_kills_before:
        text += ", while the system killed processes because its memory was full"
    return text


def oom_kills() -> int:
    """How many processes the system has killed for want of memory since it started; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except OSError:
        return 0
    return int(counts.get("oom_kill", 0))


def last_printed(file: IO[bytes] | int, lines: int = 100) -> str:
    """The last lines of what was printed to `file`, of its last 16 KiB."""
    number = file if isinstance(file, int) else file.fileno()
    size = os.fstat(number).st_size
    text = os.pread(number, 2**14, max(0, size - 2**14)).decode(errors="replace")
    # after a crash Python also lists hundreds of modules
    printed = [line[:500] for line in text.rstrip().splitlines() if not line.startswith("Extension modules:")]
    return "\n".join(printed[-lines:]).strip("\n")


def with_printed(error: str, printed: str) -> str:
    """The text of a failed record: what is printed of an error is its last line, so that comes last."""
    return f"the last that it printed:\n{printed}\n{error}" if printed else error
