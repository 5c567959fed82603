"""Any model of the timm library as a backbone, by name: `timm:vit_tiny_patch16_224`."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

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
        pretrained: bool = False,
        **options: Any,
    ):
        """Builds the model `name`: "timm:NAME" or "NAME", with or without the tag of published weights.

        image_size: side of the images in pixels. Architectures with position embeddings or windows are built
            for it; fully convolutional ones take any size and are not told. None: the published size.
        pretrained: loads the published weights, over the network where they are not cached. False: nothing is
            fetched.
        options: passed on to the architecture, e.g. patch_size=4, drop_path_rate=0.1.

        Raises ValueError for a name or tag that timm does not know, with the nearest names that it does; for images
        that the network cannot take, and for those of which its patches leave out a border.
        """
        super().__init__()
        import timm  # takes seconds: only cells with such a backbone pay for it

        name = name.removeprefix(PREFIX)
        check_name(name)
        published = timm.get_pretrained_cfg(name)
        if image_size is not None and published is not None and published.fixed_input_size:
            options["img_size"] = image_size
        options |= {"num_classes": 0, "in_chans": in_channels}
        model: Any = timm.create_model(name, pretrained=pretrained, **options)
        # Some architectures (MobileNetV3, VGG) keep a wider layer between the pooled maps and the classifier.
        self.features = int(getattr(model, "head_hidden_size", None) or model.num_features)
        self.model: nn.Module = model
        if image_size is not None:
            check_image_size(name, model, in_channels, image_size)

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
    """timm:NAME, any model of the timm library, with the tag of published weights or without."""

    backbone: str = Field(description="timm:NAME")
    pretrained: bool = Field(False, description="published weights, fetched where they are not cached")

    added_later: ClassVar[frozenset[str]] = FeatureSettings.added_later | {"pretrained"}
    former_values: ClassVar[dict[str, Any]] = {k: FORMER[k] for k in ("width", "zero_init_last_bn", "last_relu")}
    always_in_identity: ClassVar[dict[str, Any]] = {"hidden": FORMER["hidden"]}

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        check_name(name.removeprefix(PREFIX))
        return name

    def build(self, image_shape: tuple[int, int, int]) -> TimmBackbone:
        channels, _, side = image_shape
        return TimmBackbone(self.backbone, side, channels, self.pretrained)

    def without_weights(self) -> Self:
        return self.model_copy(update={"pretrained": False})
