"""Residual networks: the CIFAR ResNet-18 and ResNet-32 of class-incremental work, and the ImageNet ResNet-18.

He et al. 2016, "Deep Residual Learning for Image Recognition". Shortcuts that change the shape are a 1x1
convolution with batch norm (their option B) in all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from models.settings import FORMER, FeatureSettings


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, and batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int, last_relu: bool = True):
        super().__init__()
        self.conv1 = conv_bn(inputs, outputs, 3, stride)
        self.conv2 = conv_bn(outputs, outputs, 3, 1)
        keeps_shape = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if keeps_shape else conv_bn(inputs, outputs, 1, stride)
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x).relu()) + self.shortcut(x)
        return out.relu() if self.last_relu else out


class ResNet(nn.Module):
    """A stem, stages of basic blocks (each after the first halves the resolution) and global average pooling.

    `features` is the width of the feature vector. forward: float [N, C, H, W] -> [N, features].

    stem: [N, C, H, W] -> [N, widths[0], h, w]; widths, depths: channels and blocks of each stage.
    zero_init_last_bn: gamma of the last batch norm of each block starts at 0, so that blocks start as their
        shortcuts (Goyal et al. 2017; DER's CIFAR networks).
    last_relu=False leaves out the ReLU of the very last block, so that features may be negative and cosine
        similarities use the whole sphere (UCIR, Hou et al. 2019; PODNet, Douillard et al. 2020).
    """

    def __init__(
        self,
        stem: nn.Module,
        widths: Sequence[int],
        depths: Sequence[int],
        zero_init_last_bn: bool = False,
        last_relu: bool = True,
    ):
        super().__init__()
        self.stem = stem
        self.stages = nn.ModuleList()
        inputs = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for i in range(depth):
                very_last = stage == len(widths) - 1 and i == depth - 1
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(BasicBlock(inputs, width, stride, last_relu or not very_last))
                inputs = width
            self.stages.append(nn.Sequential(*blocks))
        self.features = inputs
        self._initialise(zero_init_last_bn)

    def _initialise(self, zero_init_last_bn: bool) -> None:
        """He et al. 2015 (normal, fan-out) for convolutions; batch norms keep torch's 1 and 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_last_bn:
            for name, parameter in self.named_parameters():
                if name.endswith("conv2.1.weight"):
                    nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """x float [N, C, H, W] -> features [N, features]."""
        return self.forward_stages(x)[0]

    def forward_stages(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x [N, C, H, W] -> features [N, features] and the output of each stage, [N, width, h, w], for POD.

        The maps are what the next stage reads; the last one is what the features are the mean of.
        """
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return x.mean((2, 3)), maps


def _scaled(widths: Sequence[int], width: float) -> list[int]:
    if width <= 0:
        raise ValueError(f"width multiplies the channels and must be positive, not {width}")
    return [max(1, round(w * width)) for w in widths]


def _cifar_stem(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(conv_bn(in_channels, width, 3, 1), nn.ReLU())


def cifar_resnet18(
    width: float = 1.0, in_channels: int = 3, zero_init_last_bn: bool = False, last_relu: bool = True
) -> ResNet:
    """ResNet-18 for 32x32 images: 3x3 stem of stride 1, no max-pooling, 64 to 512 channels, 512 features.

    With a linear layer to 100 classes 11.22 M parameters, 1.111 GFLOPs an image. `width` multiplies channels.
    """
    widths = _scaled([64, 128, 256, 512], width)
    return ResNet(_cifar_stem(in_channels, widths[0]), widths, [2, 2, 2, 2], zero_init_last_bn, last_relu)


def cifar_resnet32(
    width: float = 1.0, in_channels: int = 3, zero_init_last_bn: bool = False, last_relu: bool = True
) -> ResNet:
    """ResNet-32 for 32x32 images: three stages of five blocks, 16/32/64 channels, 64 features.

    With a linear layer to 100 classes 0.47 M parameters, 0.138 GFLOPs an image. On CIFAR He et al. pad the
    shortcuts with zeros instead (option A: 2,752 parameters fewer). `width` multiplies channels.
    """
    widths = _scaled([16, 32, 64], width)
    return ResNet(_cifar_stem(in_channels, widths[0]), widths, [5, 5, 5], zero_init_last_bn, last_relu)


def imagenet_resnet18(
    width: float = 1.0, in_channels: int = 3, zero_init_last_bn: bool = False, last_relu: bool = True
) -> ResNet:
    """ResNet-18 for 224x224 images: 7x7 stem of stride 2, max-pooling, 64 to 512 channels, 512 features.

    With a linear layer to 100 classes 11.23 M parameters, 3.63 GFLOPs an image. `width` multiplies channels.
    """
    widths = _scaled([64, 128, 256, 512], width)
    stem = nn.Sequential(conv_bn(in_channels, widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return ResNet(stem, widths, [2, 2, 2, 2], zero_init_last_bn, last_relu)


class ResNetSettings(FeatureSettings):
    """Residual networks: resnet18 and resnet32 for 32x32 images, imagenet_resnet18 for 224x224."""

    backbone: Literal["resnet18", "resnet32", "imagenet_resnet18"]
    width: float = Field(1.0, gt=0, description="multiplies the channels")
    zero_init_last_bn: bool = Field(False, description="blocks start as their shortcuts (Goyal et al. 2017)")
    last_relu: bool = Field(True, description="false leaves out the last ReLU, for cosine heads (Hou et al. 2019)")

    added_later: ClassVar[frozenset[str]] = FeatureSettings.added_later | {"width", "zero_init_last_bn", "last_relu"}
    former_values: ClassVar[dict[str, Any]] = {"pretrained": FORMER["pretrained"]}
    always_in_identity: ClassVar[dict[str, Any]] = {"hidden": FORMER["hidden"]}

    def build(self, image_shape: tuple[int, int, int]) -> ResNet:
        networks = {"resnet18": cifar_resnet18, "resnet32": cifar_resnet32, "imagenet_resnet18": imagenet_resnet18}
        return networks[self.backbone](self.width, image_shape[0], self.zero_init_last_bn, self.last_relu)
