"""Ctrl-C, a scheduler's SIGTERM and a closed terminal's SIGHUP end a command alike: in order, and with 128 + their number."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """Raised where such a signal arrives; no Exception, so that no cell takes it for a failure of its own."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Inside, the first of SIGNALS raises Stopped; more of them are ignored, so that what it ends can end in order.

    Ctrl-C does so also where a shell had it ignored; a closed terminal does not where nohup had.
    """

    def stop(number: int, _) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if not (number == signal.SIGHUP and handler == signal.SIG_IGN):
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
