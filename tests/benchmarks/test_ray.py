"""The Ray executor: a node that is lost costs its cells one try, and no record."""

import os
import threading
import time

import pytest

from benchmarks.executors.local import run_local
from benchmarks.executors.on_ray import run_on_ray
from benchmarks.records.claims import live_claims
from benchmarks.records.store import Store
from benchmarks.request.errors import SettingsError
from benchmarks.watch.choice import TrackerChoice, Watching
from scenarios import DataNotFound
from tests.benchmarks.helpers import cells, with_stream
from tests.benchmarks.test_watch import assert_event_files_hold

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes on this machine, with no processor of their own for this process."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 unless told: for ever where others are at work
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_node_killed_in_mid_run_leaves_no_hole(cluster, tmp_path):
    cluster, nodes = cluster
    wanted = cells("finetune", "er", "si", seeds=3)
    struck = []

    def strike():
        """Once there is a record, and both nodes are at work on the next cells."""
        store = tmp_path / "ray"
        while not (list(store.glob("*.json")) and len(live_claims(store)) == 2):
            time.sleep(0.02)
        cluster.remove_node(nodes[1], allow_graceful=False)
        struck.append(len(list(store.glob("*.json"))))

    striker = threading.Thread(target=strike, daemon=True)
    striker.start()
    watching = Watching(trackers=(TrackerChoice("tensorboard", tmp_path / "tracked"),))
    found = list(run_on_ray(wanted, tmp_path / "ray", None, address=cluster.address, watching=watching))
    striker.join()
    assert struck[0] < len(wanted)
    assert sorted(o.cell.identity for o in found) == sorted(c.identity for c in wanted)
    assert {o.status for o in found} == {"done"}
    list(run_local(wanted, tmp_path / "local", None, ["cpu"]))
    theirs, ours = (Store(tmp_path / name).scan().records for name in ("ray", "local"))
    assert {k: r.comparable() for k, r in theirs.items()} == {k: r.comparable() for k, r in ours.items()}
    assert list((tmp_path / "ray" / "unfinished").iterdir()) == []
    for cell in wanted:
        folder = tmp_path / "tracked" / "ray" / Store(tmp_path).path(cell).stem
        assert_event_files_hold(folder, theirs[cell.identity])


def test_a_node_without_the_data_says_so(cluster, tmp_path):
    cluster, _ = cluster
    (cell,) = cells("finetune")
    absent = with_stream(cell, {"data": "mnist"})
    with pytest.raises(DataNotFound, match=rf"node {os.uname().nodename}: .*; set DATA_ROOT on that node"):
        list(run_on_ray([absent], tmp_path, str(tmp_path / "nowhere"), address=cluster.address))
    assert list((tmp_path / "unfinished").iterdir()) == []


def test_no_cluster_is_said(tmp_path):
    with pytest.raises(SettingsError, match="no Ray cluster answers"):
        list(run_on_ray(cells("finetune"), tmp_path, None, address="127.0.0.1:1"))
