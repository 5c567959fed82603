"""Channels last: tried in a child process before a network is trusted with it."""

import pytest
import torch
from torch import nn

from models import memory_format
from models.memory_format import why_contiguous
from models.resnet import cifar_resnet32

CPU = torch.device("cpu")


def test_wide_networks_may_and_an_accelerator_may_always():
    assert why_contiguous(cifar_resnet32(0.125), torch.device("cuda:0")) is None
    assert why_contiguous(nn.Linear(3, 4), CPU) is None


def test_narrow_strided_convolutions_may_not():
    assert why_contiguous(nn.Conv2d(7, 8, 1, stride=2), CPU) == (
        "a 1x1 convolution with stride 2 has 7 input channels, fewer than 8"
    )
    assert "has 4 input channels" in why_contiguous(nn.Conv2d(16, 16, 1, stride=2, groups=4), CPU)


def test_a_child_process_decides_for_the_others(monkeypatch):
    wide = nn.Sequential(nn.Conv2d(8, 4, 1, stride=2), nn.Conv2d(4, 4, 3, stride=2), nn.Conv2d(4, 8, 1))
    assert why_contiguous(wide, CPU) is None
    for death, said in [
        ("import os; os.abort()", "ended by signal 6"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("import sys; sys.exit('wrong gradients')", "failed: wrong gradients"),
    ]:
        monkeypatch.setattr(memory_format, "_PROBE", death)
        memory_format._fault.cache_clear()
        assert said in why_contiguous(wide, CPU)
    memory_format._fault.cache_clear()


@pytest.mark.skipif(torch.cpu._is_avx512_supported(), reason="torch's fault is that of processors without AVX-512")
@pytest.mark.skipif("AVX2" not in torch.backends.cpu.get_cpu_capability(), reason="no AVX2")
@pytest.mark.skipif(not torch.__version__.startswith("2.15"), reason="found in torch 2.15")
def test_the_child_process_finds_the_fault_that_is_known():
    narrow = nn.Conv2d(4, 8, 1, stride=2)
    assert "ended by signal" in memory_format._fault((memory_format._arguments(narrow),))
