"""Which workers a run has, and options of executors that do not go together."""

import pytest
import torch

from benchmarks.executors.choice import Choice
from benchmarks.executors.devices import cells_per_gpu
from benchmarks.executors.on_ray import _room
from benchmarks.request.errors import SettingsError


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    ("share", "cells"), [(1, 1), (0.5, 2), (0.3, 3), (0.25, 4), (0.1, 10), (0.05, 20), (1 / 49, 49)]
)
def test_as_many_cells_on_a_gpu_as_have_room_on_it(share, cells):
    assert cells_per_gpu(share) == cells
    assert Choice(gpus_per_cell=share).devices(None, ["0", "1"]) == ["cuda:0"] * cells + ["cuda:1"] * cells


def test_ray_claims_as_many_cells_as_its_gpus_have_room_for():
    class Cluster:
        @staticmethod
        def cluster_resources():
            return {"CPU": 64, "GPU": 2}

    assert [_room(Cluster, 1, share) for share in (0.1, 0.05, 1, 2)] == [20, 40, 2, 1]


def test_workers_are_shared_out_among_the_gpus():
    assert Choice().devices(None, ["0", "1"]) == ["cuda:0", "cuda:1"]
    assert Choice().devices(4, ["0", "1"]) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
    assert Choice().devices(3, None) == ["cpu"] * 3


@pytest.mark.parametrize(
    ("choice", "workers", "gpus", "said"),
    [
        ({"gpus_per_cell": 0.0}, None, ["0"], "--gpus-per-cell 0: say a part of a GPU"),
        ({"gpus_per_cell": -1.0}, None, ["0"], "--gpus-per-cell -1: say a part of a GPU"),
        ({"gpus_per_cell": float("nan")}, None, ["0"], "--gpus-per-cell nan: say a part of a GPU"),
        ({"gpus_per_cell": float("inf")}, None, ["0"], "--gpus-per-cell inf: say a part of a GPU"),
        ({"gpus_per_cell": 1.5, "executor": "ray"}, None, None, "or a whole number of them"),
        ({"gpus_per_cell": 2.0}, None, ["0", "1"], "a cell has one GPU at most"),
        ({"gpus_per_cell": 0.5}, None, None, "name the GPUs too, e.g. --gpus 0,1"),
        ({"gpus_per_cell": 0.5}, 2, ["0", "1"], "and so does --workers: give one of them"),
        ({}, 1, ["0", "1"], "--workers 1: every one of 2 GPUs has as many: say a multiple of 2"),
        ({}, 3, ["0", "1"], "--workers 3: every one of 2 GPUs has as many: say a multiple of 2"),
        ({"cell_timeout": 0.0}, None, None, "--cell-timeout 0: say the seconds"),
        ({"executor": "slurm", "slurm": "time=1,cpus-per-task=two"}, None, None, "cpus-per-task=two: say a number"),
        ({"executor": "slurm", "slurm": "time=1,cpus-per-task=0"}, None, None, "cpus-per-task=0: say a number"),
    ],
)
def test_what_does_not_go_together_is_refused(choice, workers, gpus, said):
    with pytest.raises(SettingsError) as error:
        Choice(**choice).devices(workers, gpus)
    assert said in str(error.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(SettingsError) as error:
        Choice(gpus_per_cell=0.0, cell_timeout=0.0).devices(3, ["0", "7"])
    for said in ("--gpus-per-cell 0", "--cell-timeout 0", "no CUDA device 7", "give one of them"):
        assert said in str(error.value)
