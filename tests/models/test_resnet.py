"""Sizes, costs and shapes of the residual networks. Counts are of what class-incremental papers print."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.resnet import BasicBlock, ResNet, cifar_resnet18, cifar_resnet32, imagenet_resnet18

NETWORKS = [(cifar_resnet18, 32), (cifar_resnet32, 32), (imagenet_resnet18, 64)]
Build = Callable[..., ResNet]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("build", "size", "millions", "gflops"),
    [
        # DyTox's and DNE's tables print 11.22 M and 1.12 G (with batch norm; 1.111 without).
        (cifar_resnet18, 32, 11.22, 1.111),
        (cifar_resnet32, 32, 0.47, 0.138),  # 0.47 M as in PyCIL
        (imagenet_resnet18, 224, 11.23, 3.63),  # 1.81 G multiply-adds in He et al. 2016, table 1
    ],
    ids=["cifar18", "cifar32", "imagenet18"],
)
def test_parameters_and_flops_with_100_classes(build: Build, size: int, millions: float, gflops: float):
    with torch.device("meta"):
        backbone = build()
        network = nn.Sequential(backbone, nn.Linear(backbone.features, 100)).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, size, size))
    # To the last digit printed.
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.005)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflops, abs=0.005 if gflops > 3 else 0.0005)


DEPTHS = [(cifar_resnet18, 18), (cifar_resnet32, 32), (imagenet_resnet18, 18)]


@pytest.mark.parametrize(("build", "depth"), DEPTHS)
def test_depth_counts_convolutions_and_the_classifier(build: Build, depth: int) -> None:
    convolutions = [m for m in build(width=0.1).modules() if isinstance(m, nn.Conv2d)]
    shortcuts = [m for m in convolutions if m.kernel_size == (1, 1)]  # do not count
    assert len(convolutions) - len(shortcuts) + 1 == depth


@pytest.mark.parametrize(("build", "size"), NETWORKS)
def test_stages_halve_the_resolution_and_end_in_the_features(build: Build, size: int) -> None:
    network = build(width=0.25).eval()
    x = torch.randn(2, 3, size, size)
    features, maps = network.forward_stages(x)
    assert features.shape == (2, network.features)
    assert torch.equal(features, network(x))
    assert torch.equal(features, maps[-1].mean((2, 3)))
    sides = [m.shape[-1] for m in maps]
    assert sides == [sides[0] // 2**i for i in range(len(maps))]
    assert sides[0] == (size if build is not imagenet_resnet18 else size // 4)


def test_half_width() -> None:
    network = cifar_resnet32(width=0.5)
    assert network.features == 32
    assert parameters(network) == pytest.approx(parameters(cifar_resnet32()) / 4, rel=0.02)


@pytest.mark.parametrize("width", [0, -1.0])
def test_width_must_be_positive(width: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        cifar_resnet32(width=width)


def test_grey_images() -> None:
    assert cifar_resnet32(width=0.25, in_channels=1)(torch.randn(2, 1, 28, 28)).shape == (2, 16)


def test_without_last_relu_only_the_last_map_is_signed() -> None:
    x = torch.randn(4, 3, 32, 32)
    torch.manual_seed(0)
    plain = cifar_resnet32(width=0.5)
    torch.manual_seed(0)
    signed = cifar_resnet32(width=0.5, last_relu=False)
    _, maps = plain.forward_stages(x)
    _, signed_maps = signed.forward_stages(x)
    assert (signed_maps[-1] < 0).any()
    assert torch.equal(signed_maps[-1].relu(), maps[-1])
    for one, other in zip(maps[:-1], signed_maps[:-1], strict=True):
        assert torch.equal(one, other)
        assert (one >= 0).all()


def test_zero_initialised_blocks_are_their_shortcuts() -> None:
    network = cifar_resnet18(width=0.125, zero_init_last_bn=True)
    blocks = [m for m in network.modules() if isinstance(m, BasicBlock)]
    assert len(blocks) == 8
    for block in blocks:
        x = torch.randn(2, block.conv1[0].in_channels, 8, 8)
        assert torch.equal(block(x), block.shortcut(x).relu())
        assert not block.conv2[1].weight.any()
        assert block.conv1[1].weight.all()
    assert parameters(network) == parameters(cifar_resnet18(width=0.125))
    block = next(m for m in cifar_resnet18(width=0.125).modules() if isinstance(m, BasicBlock))
    x = torch.randn(2, 8, 8, 8)
    assert not torch.equal(block(x), x.relu())


def test_weights_come_from_torchs_generator_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in cifar_resnet32(width=0.5).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_convolutions_start_normal_by_fan_out() -> None:
    # He et al. 2015, eq. 14: std = sqrt(2 / (k^2 outputs)).
    conv = cifar_resnet18().stages[1][0].conv1[0]  # 64 -> 128
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


def test_channels_last_stays_and_gives_the_same() -> None:
    network = cifar_resnet32(width=0.5).eval()
    x = torch.randn(4, 3, 32, 32)
    expected = network(x)
    _, maps = network.to(memory_format=torch.channels_last).forward_stages(
        x.contiguous(memory_format=torch.channels_last)
    )
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in maps)
    # 31 layers of float32 sums in another order.
    assert torch.allclose(maps[-1].mean((2, 3)), expected, rtol=1e-3, atol=1e-4)
