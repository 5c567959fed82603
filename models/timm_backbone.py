"""Any model of the timm library as a backbone, by name: `timm:vit_tiny_patch16_224`."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from models.frozen import Frozen, Resized
from models.pretrained import Weights, find_weights
from models.settings import FORMER, FeatureSettings
from scenarios.nearest import nearest

PREFIX = "timm:"


class TimmBackbone(nn.Module):
    """A timm model without its classifier.

    `features` is the width of its pooled feature vector. forward: float [N, C, H, W] -> [N, features].
    """

    def __init__(
        self,
        name: str,
        image_size: int | None = None,
        in_channels: int = 3,
        weights: Weights | None = None,
        **options: Any,
    ):
        """Builds the model `name`: "timm:NAME" or "NAME", with or without the tag of published weights.

        image_size: side of the images in pixels. Architectures with position embeddings or windows are built
            for it; fully convolutional ones take any size and are not told. None: the published size.
        weights: loaded in place of those drawn at random.
        options: passed on to the architecture, e.g. patch_size=4, drop_path_rate=0.1.

        Raises ValueError for a name or tag that timm does not know, with the nearest names that it does; for images
        that the network cannot take, for those of which its patches leave out a border, and for weights that are not
        here or not the network's.
        """
        super().__init__()
        import timm  # takes seconds: only cells with such a backbone pay for it

        name = name.removeprefix(PREFIX)
        check_name(name)
        published = timm.get_pretrained_cfg(name)
        if image_size is not None and published is not None and published.fixed_input_size:
            options["img_size"] = image_size
        options |= {"num_classes": 0, "in_chans": in_channels} | (weights.options if weights else {})
        model: Any = timm.create_model(name, pretrained=False, **options)
        # Some architectures (MobileNetV3, VGG) keep a wider layer between the pooled maps and the classifier.
        self.features = int(getattr(model, "head_hidden_size", None) or model.num_features)
        self.model: nn.Module = model
        if image_size is not None:
            check_image_size(name, model, in_channels, image_size)
        if weights is not None:
            weights.load_into(model, PREFIX + name)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


@torch.no_grad()
def check_image_size(name: str, model: nn.Module, channels: int, side: int) -> None:
    """Raises ValueError where `model` cannot take images of side x side pixels, or never sees their last rows.

    A patch embedding drops what does not fill a patch; deep networks halve small images to nothing.
    """
    seen: list[tuple[int, int]] = []

    def look(convolution: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not seen and inputs[0].shape[1:] == (channels, side, side):
            (kernel, _), (stride, _), (dilation, _) = (
                getattr(convolution, n) for n in ("kernel_size", "stride", "dilation")
            )
            padding = convolution.padding[0] if isinstance(convolution.padding, tuple) else side
            seen.append(((output.shape[2] - 1) * stride + dilation * (kernel - 1) + 1 - int(padding), stride))

    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, nn.Conv2d)]
    learning = model.training
    try:
        image = torch.zeros(1, channels, side, side, device=next(model.parameters()).device)
        model.eval()(image)
    except (RuntimeError, AssertionError, ValueError) as error:
        what = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{PREFIX}{name} cannot take images of {side}x{side} pixels ({what}); give it larger ones (a scenario's padding, "
            "or transform.image_size for files) or take a network of fewer stages"
        ) from error
    finally:
        model.train(learning)
        for hook in hooks:
            hook.remove()
    if seen and seen[0][0] < side:
        rows, patch = seen[0]
        raise ValueError(
            f"{PREFIX}{name} would see {rows * rows:,} of an image's {side * side:,} pixels: {side} is no multiple of {patch}; "
            + _larger(side, patch)
        )


def _larger(side: int, patch: int) -> str:
    padding = next((p for p in range(1, patch + 1) if (side + 2 * p) % patch == 0), None)
    if padding is None:
        return f"use transform.image_size: {-(-side // patch) * patch}, or a network with other patches"
    return f"padding: {padding} makes {side + 2 * padding} (for files: transform.image_size)"


def check_name(name: str) -> None:
    """Raises ValueError for a name or tag (without the prefix) that timm does not know, with the nearest it does."""
    import timm

    architecture, dot, _ = name.partition(".")
    if timm.is_model(architecture):
        known = timm.list_pretrained(f"{architecture}.*")
        if not dot or name in known:
            return
    else:
        known = timm.list_models()
    hint = nearest(name, known, "timm.list_models() lists them all", PREFIX)
    raise ValueError(f"timm has no model {name!r}{hint}")


class TimmSettings(FeatureSettings):
    """timm:NAME, any model of the timm library, with published weights or without."""

    backbone: str = Field(description="timm:NAME")
    weights: str = Field(
        "none",
        description='"none": drawn at random; "pretrained": timm\'s own, once fetched (models/pretrained.py); '
        "package:NAME; or the path of a .safetensors or .pth file",
    )
    checksum: str = Field("", description="SHA-256 of the weights' file; found where it is not given")
    trained_on: str = Field("", description="what the weights were trained on; known of packages and published ones")
    image_size: int | None = Field(
        None, ge=1, description="images are resized to squares of so many pixels; null: as is"
    )
    frozen: bool = Field(False, description="the backbone is not trained; it gives features as at test")

    added_later: ClassVar[frozenset[str]] = FeatureSettings.added_later | {"checksum", "image_size", "frozen"}
    former_values: ClassVar[dict[str, Any]] = {
        k: FORMER[k] for k in ("width", "zero_init_last_bn", "last_relu", "pretrained")
    }
    always_in_identity: ClassVar[dict[str, Any]] = {"hidden": FORMER["hidden"]}
    not_in_identity: ClassVar[frozenset[str]] = frozenset({"weights", "trained_on"})

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        check_name(name.removeprefix(PREFIX))
        return name

    @model_validator(mode="after")
    def _weights_are_found(self):
        """Resolves what the weights' file says of itself; one that a record names need not be on this machine."""
        if self.weights == "none":
            if self.checksum or self.trained_on:
                raise ValueError("checksum and trained_on belong to weights, and there are none")
            return self
        if self.init != "torch":
            raise ValueError(f"init: {self.init} would draw the weights' linear layers anew; leave it out")
        try:
            found = find_weights(self.weights, self.backbone)
        except ValueError:
            if self.checksum:
                return self
            raise
        if self.checksum and found.path is not None and found.checksum != self.checksum:
            raise ValueError(f"weights: {self.weights} has the checksum {found.checksum}, not {self.checksum}")
        for name in ("checksum", "trained_on"):
            if not getattr(self, name):
                object.__setattr__(self, name, getattr(found, name))  # resolved: the checksum decides results
        return self

    def found(self) -> Weights | None:
        """Its weights; None where they are drawn at random. Raises ValueError where they are not to be had."""
        return None if self.weights == "none" else find_weights(self.weights, self.backbone)

    def build(self, image_shape: tuple[int, int, int]) -> nn.Module:
        channels, _, side = image_shape
        weights = self.found()
        if weights is not None and channels != len(weights.mean):
            raise ValueError(
                f"the weights of {self.backbone} want images of {len(weights.mean)} channels, not {channels}"
            )
        backbone: nn.Module = TimmBackbone(self.backbone, self.image_size or side, channels, weights)
        if self.image_size is not None:
            # none, but finite: a network with what is not counts as diverged
            none = torch.finfo(torch.float32)
            how, bounds = "bicubic", [[none.min] * channels, [none.max] * channels]
            if weights is not None:
                how = weights.interpolation
                bounds = [[(v - m) / s for m, s in zip(weights.mean, weights.std, strict=True)] for v in (0, 1)]
            backbone = Resized(backbone, self.image_size, how, *bounds)
        return Frozen(backbone) if self.frozen else backbone

    def without_weights(self) -> Self:
        return self.model_copy(update={"weights": "none", "checksum": "", "trained_on": ""})
