"""One cell on two processes, as `run --ddp` runs it: `python -m benchmarks.selftest.ranks METHOD FILE` is a rank."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.cell.run import run_cell
from benchmarks.executors.torchrun import process_group
from benchmarks.records.record import RunRecord
from benchmarks.selftest.cells import cell_of, done
from models import ranks

SECONDS = 240


def together(name: str, device: str) -> RunRecord:
    """The record of the cell of method `name` on two ranks. Raises RuntimeError where they do not make one."""
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.json"
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [*torchrun, "-m", "benchmarks.selftest.ranks", name, str(file)]
        root = Path(__file__).parents[2]
        ended = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=SECONDS)
        if ended.returncode or not file.exists():
            last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
            raise RuntimeError(f"the two processes ended without a record: {last}")
        return done(RunRecord.from_json(file.read_text(encoding="utf-8")))


def main() -> None:
    name, file = sys.argv[1:]
    with process_group() as device:
        record = run_cell(cell_of(name), device=device)
        if ranks.rank() == 0:
            Path(file).write_text(record.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()
