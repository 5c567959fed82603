"""From images to patch features: the linear embedding of vision transformers, or convolutions in its place.

forward of each: [N, C, H, W] -> [N, P, d] with P = (H / patch) (W / patch), row by row.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from models.resnet import ResNet, conv_bn


class PatchEmbedding(nn.Module):
    """One linear map of each patch of patch x patch pixels (Dosovitskiy et al. 2021)."""

    def __init__(self, channels: int, patch: int, dim: int):
        super().__init__()
        self.projection = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, images: Tensor) -> Tensor:
        return to_tokens(self.projection(images))


class ConvStem(nn.Module):
    """3x3 convolutions of stride 2 down to the patch grid, then a 1x1 convolution (Xiao et al. 2021).

    Widths double up to `dim` at the last. Group norm instead of the paper's batch norm: a frozen encoder then
    computes the same in training as at test, which balanced fine-tuning and distillation rely on.
    """

    def __init__(self, channels: int, patch: int, dim: int):
        super().__init__()
        self.layers = downsampling(channels, patch, dim)
        self.projection = nn.Conv2d(dim, dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        return to_tokens(self.projection(self.layers(images)))


class ConvTrunk(nn.Module):
    """A residual network in place of all encoder blocks: strided convolutions, then `depth` blocks.

    Blocks as in He et al. 2016 with GELU. Its resolution stays that of the patch grid, so that the
    task-attention block has enough tokens to look at.
    """

    def __init__(self, channels: int, patch: int, dim: int, depth: int):
        super().__init__()
        self.layers = downsampling(channels, patch, dim)
        self.blocks = nn.ModuleList(
            nn.Sequential(conv_norm(dim, dim), nn.GELU(), conv_norm(dim, dim)) for _ in range(depth)
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.layers(images)
        for block in self.blocks:
            x = nn.functional.gelu(x + block(x))
        return to_tokens(x)


class ResNetTrunk(nn.Module):
    """ResNet-18 without its last stage, then two 1x1 convolutions to `dim` channels: DyTox's release, `resnet: true`.

    patch: 8, with max-pooling behind the stem as in the release (16 patches of a CIFAR image, dim 504), or 4, without,
    for more patches. width multiplies the channels of the stages. Batch norm: who freezes it keeps it in eval mode.
    Blocks are those of models/resnet.py, with the ReLU after each that the release leaves out.
    """

    def __init__(self, channels: int, patch: int, dim: int, width: float = 1.0):
        super().__init__()
        if patch not in (4, 8):
            raise ValueError(f"a ResNet-18 without its last stage has patches of 8 pixels, or 4, not {patch}")
        widths = [max(1, round(n * width)) for n in (64, 128, 256)]
        pooling = [nn.MaxPool2d(3, 2, 1)] if patch == 8 else []
        stem = nn.Sequential(conv_bn(channels, widths[0], 3, 1), nn.ReLU(), *pooling)
        self.stages = ResNet(stem, widths, [2, 2, 2])
        between = max(1, round(384 / 504 * dim))
        self.projection = nn.Sequential(
            conv_bn(widths[-1], between, 1, 1), nn.ReLU(), conv_bn(between, dim, 1, 1), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        return to_tokens(self.projection(self.stages.forward_stages(images)[1][-1]))


def downsampling(channels: int, patch: int, dim: int) -> nn.Sequential:
    """log2(patch) convolutions of stride 2: [N, channels, H, W] -> [N, dim, H / patch, W / patch].

    Raises ValueError unless patch is a power of two above 1.
    """
    halvings = patch.bit_length() - 1
    if halvings < 1 or patch != 2**halvings:
        raise ValueError(f"a convolutional stem needs a patch of 2, 4, 8, ... pixels, not {patch}")
    widths = [channels] + [max(dim >> (halvings - 1 - i), 8) for i in range(halvings - 1)] + [dim]
    return nn.Sequential(*(nn.Sequential(conv_norm(a, b, stride=2), nn.GELU()) for a, b in pairwise(widths)))


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(1, outputs))


def to_tokens(maps: Tensor) -> Tensor:
    """[N, d, h, w] -> [N, h w, d]."""
    return maps.flatten(2).transpose(1, 2)
