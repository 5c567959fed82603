"""Any model of the timm library as a backbone, by name: `timm:vit_tiny_patch16_224`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nearest import nearest

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

        Raises ValueError for a name or tag that timm does not know, with the nearest names that it does.
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

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


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
