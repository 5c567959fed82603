"""A plain nn.Module, or a function that makes one, as the settings of a backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from pydantic import create_model
from torch import Tensor, nn

from models.settings import FeatureSettings

Make = Callable[..., nn.Module]


class PlainModuleSettings(FeatureSettings):
    """A network of the user's own. make: gives it; defined_by: what its source is read off."""

    make: ClassVar[Make]
    defined_by: ClassVar[Any]

    def build(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """Raises ValueError where it gives something else than features [N, d]."""
        own = set(type(self).model_fields) - set(FeatureSettings.model_fields)
        arguments = {name: getattr(self, name) for name in own}
        if "image_shape" in inspect.signature(type(self).make).parameters:
            arguments["image_shape"] = image_shape
        network = type(self).make(**arguments)
        if not isinstance(network, nn.Module):
            raise ValueError(f"{self.backbone} gives a {type(network).__name__}, which is no nn.Module")
        return (
            network
            if hasattr(network, "features") and isinstance(network.features, int)
            else Flattened(network, image_shape)
        )


class Flattened(nn.Module):
    """A network whose output, of whatever shape, is flattened to features [N, d]; d is found with one image of zeros."""

    def __init__(self, network: nn.Module, image_shape: tuple[int, int, int]):
        super().__init__()
        self.network = network
        mode = network.training
        network.eval()
        with torch.no_grad():
            output = network(torch.zeros(1, *image_shape))
        network.train(mode)
        if not isinstance(output, Tensor) or len(output) != 1:
            raise ValueError(f"{type(network).__name__} does not give a tensor [N, ...] for images [N, ...]")
        self.features = output.numel()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).flatten(1)


def backbone_settings(name: str, make: Make, module: str) -> type[PlainModuleSettings]:
    """A class of settings for `make`: a field for each of its arguments, of the annotated type and default.

    Raises ValueError for an argument without a default or of a name that all backbones have.
    """
    fields: dict[str, Any] = {"backbone": (Literal[name], ...)}
    for argument in inspect.signature(make).parameters.values():
        if argument.name == "image_shape" or argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if argument.default is argument.empty:
            raise ValueError(f"{name}: its argument {argument.name} needs a default, so that a suite can leave it out")
        if argument.name in FeatureSettings.model_fields:
            raise ValueError(f"{name}: its argument {argument.name} is a setting of every backbone; call it otherwise")
        fields[argument.name] = (_annotation(make, argument), argument.default)
    settings = create_model(f"{name}Settings", __base__=PlainModuleSettings, __module__=module, **fields)
    settings.make = staticmethod(make)
    settings.defined_by = make
    settings.__doc__ = inspect.getdoc(make) or f"{name}, a network of your own"
    return settings


def _annotation(make: Make, argument: inspect.Parameter) -> Any:
    """The argument's type, also where it is written as a text; without one, that of its default."""
    where = make.__init__ if inspect.isclass(make) else make
    known = inspect.get_annotations(where, eval_str=True)
    return known.get(argument.name, type(argument.default))
