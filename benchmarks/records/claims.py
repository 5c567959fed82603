"""Which run does which cell: runs that share a folder take each cell once.

A claim is a file beside a cell's checkpoint, which only one process can create. A live run writes a higher count into
its claims every BEAT seconds. Who waits for a cell looks at the count and at its own monotonic clock: a claim that has
not changed for EXPIRY seconds is dead, whatever the clocks of the machines say; that of a process of this machine is
dead as soon as the process is. A dead claim is taken over by the next in number (`.claim2` after `.claim1`), which again
only one can create: no file is taken from anyone. Claims save work; what is right does not depend on them, as a cell
done twice leaves the same record.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.records.atomic_write import ABANDONED, machine, started, temporary_file
from benchmarks.records.cell_progress import CellProgress
from benchmarks.request.suite import CellSettings

BEAT = 20.0
"""Seconds between two signs of life."""
EXPIRY = 180.0
"""Seconds without one after which a claim of another machine is dead."""
_BLOCK = 1024
"""Claims are written in one piece of a multiple of so many bytes."""


@dataclass(frozen=True)
class Claim:
    """run: any word that all processes of one run have in common. machine, pid, started: of the process that holds it.
    since: Unix time, shown and never compared. where: a device or node. progress: what its worker last told."""

    run: str
    machine: str
    host: str
    pid: int
    started: str | None
    since: float
    where: str = ""
    count: int = 0
    progress: CellProgress | None = None

    def content(self) -> bytes:
        text = json.dumps(asdict(self)).encode()
        return text.ljust(-(-len(text) // _BLOCK) * _BLOCK)

    @classmethod
    def of(cls, content: bytes) -> Claim | None:
        """None for what is no claim, such as one half written."""
        try:
            fields = json.loads(content)
            if fields.get("progress") is not None:
                fields["progress"] = CellProgress(**fields["progress"])
            return cls(**fields)
        except (ValueError, TypeError, AttributeError):
            return None

    def has_died_here(self) -> bool:
        """Whether it is of a process of this machine that lives no more."""
        return self.machine == machine() and started(self.pid) != self.started


@dataclass
class _Seen:
    """What stood in another's claim, and how long no one has seen anything else there."""

    content: bytes
    looked: float
    waited: float = 0.0


class Claims:
    """The claims of one process on cells of the records in `folder`. run: what else it may take over at once."""

    def __init__(self, folder: Path, run: str | None = None):
        self.folder = folder / "unfinished"
        self.run = run or uuid.uuid4().hex
        self._own: dict[str, tuple[Path, Claim]] = {}
        self._seen: dict[Path, _Seen] = {}
        self._beaten = time.monotonic()

    def take(self, cell: CellSettings, where: str = "") -> bool:
        """Whether the cell is now this process's. False: another one does it, as far as can be known.

        Raises OSError where no file can be made in the folder.
        """
        others = list(_claims_of(self.folder, cell.identity))
        if not all(self._is_dead(path) for _, path in others):
            return False
        number = max((n for n, _ in others), default=0) + 1
        path = self.folder / f"{cell.identity}.claim{number}"
        pid = os.getpid()
        claim = Claim(self.run, machine(), platform.node(), pid, started(pid), time.time(), where)
        if not _create(path, claim.content()):
            return False
        self._own[cell.identity] = (path, claim)
        return True

    def note(self, cell: CellSettings, **facts) -> None:
        """Writes into the claim of `cell` what has changed: `progress` or `where`."""
        if cell.identity in self._own:
            path, claim = self._own[cell.identity]
            self._write(cell.identity, path, replace(claim, **facts))

    def beat(self) -> None:
        """To be called more often than every BEAT seconds."""
        if time.monotonic() - self._beaten >= BEAT:
            self._beaten = time.monotonic()
            for identity, (path, claim) in list(self._own.items()):
                self._write(identity, path, claim)

    def release(self, cell: CellSettings) -> None:
        """Gives `cell` up, with the dead claims that this one followed: lowest number first, see `take`.

        Also with later ones of the same run: a process of a lost node may have taken the cell and died since.
        """
        if cell.identity not in self._own:
            return
        own, _ = self._own.pop(cell.identity)
        for number, path in sorted(_claims_of(self.folder, cell.identity)):
            if number < _number(own) or self._is_of_this_run(path):
                path.unlink(missing_ok=True)

    def holds(self, cell: CellSettings) -> bool:
        return cell.identity in self._own

    def _write(self, identity: str, path: Path, claim: Claim) -> None:
        claim = replace(claim, count=claim.count + 1)
        self._own[identity] = (path, claim)
        try:
            if not self._is_mine(path):
                return  # it was thought dead and has been taken over
            with open(path, "r+b") as file:
                file.write(claim.content())
                file.truncate()
        except OSError:
            pass  # a folder out of reach; it may come back

    def _is_mine(self, path: Path) -> bool:
        claim = _read(path)
        return claim is not None and (claim.run, claim.machine, claim.pid) == (self.run, machine(), os.getpid())

    def _is_of_this_run(self, path: Path) -> bool:
        claim = _read(path)
        return claim is not None and claim.run == self.run

    def _is_dead(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        claim = Claim.of(content)
        if claim is not None and (claim.run == self.run or claim.has_died_here()):
            return True
        now, seen = time.monotonic(), self._seen.get(path)
        if seen is None or seen.content != content:
            self._seen[path] = _Seen(content, now)
            return False
        # who was stopped himself, or cut off from the folder, has seen nothing meanwhile
        seen.waited += min(now - seen.looked, 2 * BEAT)
        seen.looked = now
        return seen.waited >= EXPIRY


def live_claims(folder: Path) -> dict[str, Claim]:
    """The claims on cells of the records in `folder`, by identity, without those that are known to be dead."""
    found = {}
    for path in sorted((folder / "unfinished").glob("*.claim*"), key=_number):
        claim = _read(path)
        if claim is not None and not claim.has_died_here():
            found[path.stem] = claim
    return found


def sweep_claims(folder: Path, finished: Iterable[CellSettings]) -> None:
    """Removes dead claims on `finished` cells: of processes that died between a record and the end of its claim."""
    identities = {cell.identity for cell in finished}
    for path in sorted((folder / "unfinished").glob("*.claim*"), key=_number):
        try:
            claim = Claim.of(path.read_bytes())
            old = path.stat().st_mtime < time.time() - ABANDONED
        except OSError:
            continue
        if path.stem in identities and (old or (claim is not None and claim.has_died_here())):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Claim | None:
    """None also for a file that is gone or out of reach."""
    try:
        return Claim.of(path.read_bytes())
    except OSError:
        return None


def _claims_of(folder: Path, identity: str) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(f"{identity}.claim*"):
        if path.suffix.removeprefix(".claim").isdecimal():
            yield _number(path), path


def _number(path: Path) -> int:
    text = path.suffix.removeprefix(".claim")
    return int(text) if text.isdecimal() else 0


def _create(path: Path, content: bytes) -> bool:
    """Makes a file with `content`, at once whole; False where there is one. Holds on network folders too."""
    with temporary_file(path.parent) as temporary:
        temporary.write_bytes(content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            # a server's answer may be lost and the question asked again: then this very file is there
            return temporary.stat().st_nlink == 2
        except OSError:  # a file system without links
            try:
                with open(path, "xb") as file:
                    file.write(content)
            except FileExistsError:
                return False
        return True
