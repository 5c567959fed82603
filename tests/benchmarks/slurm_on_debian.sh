#!/bin/sh
# Shows `run --executor slurm` on a Slurm of one node, on any Debian, as root, in a container too (no systemd):
#     tests/benchmarks/slurm_on_debian.sh
# 8 cells as an array; one job is put back into the queue in mid-cell. Exit code 0 where the grid is then complete, the
# cell went on from its last finished task, and every record equals that of a local run.
set -eu
cd "$(dirname "$0")/../.."
PY=${PY:-.venv/bin/python}
command -v slurmctld >/dev/null && command -v munged >/dev/null ||
    { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; }
work=$(mktemp -d)
export SLURM_CONF="$work/slurm.conf" OMP_NUM_THREADS=1
host=$(hostname -s)
cat >"$SLURM_CONF" <<END
ClusterName=retain
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
mkdir -p "$work/state" "$work/spool" /run/munge /var/log/munge
chown munge: /run/munge /var/log/munge
started=""
finish() {
    scancel --quiet --user=root 2>/dev/null || true
    for file in slurmctld.pid slurmd.pid; do [ -f "$work/$file" ] && kill "$(cat "$work/$file")" || true; done
    [ -z "$started" ] || kill "$started" || true
}
trap finish EXIT
trap 'exit 143' INT TERM
if ! munge -n >/dev/null 2>&1; then
    [ -f /etc/munge/munge.key ] || { dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 2>/dev/null; chown munge: /etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
    setpriv --reuid=munge --regid=munge --clear-groups munged
    sleep 1
    started=$(cat /run/munge/munged.pid)
fi
slurmctld
slurmd
for _ in $(seq 60); do sinfo -h -o %t | grep -q idle && break; sleep 1; done
sinfo

cat >"$work/tiny.yaml" <<END
title: tiny
seeds: 4
scenarios:
  split: {stream: split, data: digits, setting: class, tasks: 5}
methods: {finetune: {}, er: {buffer_size: 50}}
model: {hidden: [64]}
training: {epochs: ${EPOCHS:-60}, batch_size: 10}
END
run() { "$PY" -m benchmarks run "$work/tiny.yaml" --yes --results-dir "$@"; }
status() { "$PY" -m benchmarks status "$work/tiny.yaml" --results-dir "$work/slurm"; }

run "$work/slurm" --executor slurm --slurm partition=debug,time=30 --detach
status
job=""
for _ in $(seq 600); do # a cell that has finished some of its tasks, and not all
    job=$("$PY" - "$work/slurm/runs/tiny" <<'END'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
jobs = {}
for path in (folder / "slurm").glob("*.cells.json"):
    jobs |= json.loads(path.read_text())
for path in (folder / "unfinished").glob("*.claim*"):
    claim = json.loads(path.read_text())
    if 1 <= claim["done"] <= 2:
        print(jobs[path.stem])
        break
END
)
    [ -z "$job" ] || break
    sleep 1
done
[ -n "$job" ] || { echo "no job was seen in mid-cell" >&2; exit 1; }
echo "requeue $job"
scontrol requeue "$job"
status
squeue -r -o "%i %T %r"
run "$work/slurm" --executor slurm --slurm partition=debug,time=30 # waits for the jobs that there are
run "$work/local" --workers 2
"$PY" - "$work" "$job" <<'END'
import sys
from pathlib import Path
from benchmarks.records.store import Store
work, job = Path(sys.argv[1]), sys.argv[2]
slurm, local = (Store(work / name / "runs" / "tiny").scan().records for name in ("slurm", "local"))
assert len(slurm) == 8, len(slurm)
assert {r.status for r in slurm.values()} == {"done"}
assert {k: r.comparable() for k, r in slurm.items()} == {k: r.comparable() for k, r in local.items()}
logs = list((work / "slurm/runs/tiny/slurm").glob(f"{job}_*_log.out"))
print("8 cells, all done, all equal to those of a local run;", job, "was put back into the queue in mid-cell")
END
