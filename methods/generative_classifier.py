"""Generative classifier (van de Ven, Li & Tolias 2021)."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from methods.core.method import Batch, Method, TaskView, hyper
from methods.core.recipe import OptimizerSettings, Phase
from models import VAE, ModelSettings


class GenerativeClassifier(Method):
    """A variational autoencoder a class, trained on that class alone; the answer is argmax over y of log p(x|y).

    Bayes' rule with equal priors; log p(x|y) is estimated with importance samples (van de Ven et al. 2021, eq. 3-4).
    Whatever comes later touches no model of an earlier class. A phase a class, each with an equal share of the
    recipe's steps where that counts steps (2,000 for two classes: 1,000 each), and with an Adam of its own, whatever
    the recipe's optimizer. Pixels are used as they are in [0, 1]. The same draws of standard normal noise serve every
    image, so an answer depends on nothing but the image.
    """

    about = "a variational autoencoder a class; answers with the class under which the image is likeliest"
    source = "van de Ven, Li & Tolias 2021, Class-incremental learning with generative classifiers"
    needs_new_classes = True
    own_network = "VAE a class, units = {units}, layers = {layers}, latent = {latent}"
    reads_pixels = True
    family = "expansion"

    units: Annotated[int, Field(ge=1)] = hyper(85, "width of the hidden layers", "van de Ven et al. 2022, Split MNIST")
    layers: Annotated[int, Field(ge=1)] = hyper(
        2,
        "hidden layers of encoder and of decoder",
        "van de Ven et al. 2022, whose fc_layers 3 counts the next one too",
    )
    latent: Annotated[int, Field(ge=1)] = hyper(5, "dimensions of the latent variable", "van de Ven et al. 2022")
    generator_lr: Annotated[float, Field(gt=0)] = hyper(
        0.001, "learning rate of Adam", "van de Ven et al. 2022, Split MNIST"
    )
    samples: Annotated[int, Field(ge=1)] = hyper(
        50, "importance samples for each image and class at test", "van de Ven et al. 2022"
    )
    likelihood: Literal["gaussian", "bernoulli"] = hyper(
        "gaussian",
        'likelihood of pixels at test: normal with variance 1, or "bernoulli", which is what training maximises',
        "gaussian: van de Ven's code; bernoulli: Kingma & Welling 2014",
    )

    def build(self, scenario, model: ModelSettings) -> nn.Module:
        self._noise = self.generator("generator")
        draws = torch.randn(self.samples, self.latent, generator=self.generator("importance"))
        self._importance = draws.to(self.device)
        return ClassModels(partial(VAE, scenario.image_shape, (self.units,) * self.layers, self.latent))

    def phases(self, task: TaskView) -> Iterable[Phase]:
        """The classes of the task, one after the other."""
        classes = range(task.outputs.start, task.outputs.stop)
        steps = self.recipe.steps
        for column in classes:
            self.network.requires_grad_(False)
            vae = self.network.models[column].requires_grad_(True)
            yield self.phase(
                task.train[(task.train.labels == column).nonzero().squeeze(1)],
                parameters=list(vae.parameters()),
                steps=None if steps is None else max(1, steps // len(classes)),
                optimizer=OptimizerSettings(name="adam", lr=self.generator_lr),
                optimizer_state="fresh",
                loss=partial(self._class_loss, vae),
            )

    def _class_loss(self, vae: VAE, batch: Batch) -> Tensor:
        pixels = batch.examples.images / self.normalise.scale
        return vae.loss(pixels, self._noise).mean() / vae.pixels

    def predict(self, x: Tensor, task_id: int | None = None) -> Tensor:
        """log p(x|y) [N, classes so far], up to a constant."""
        columns = self.layout.columns[self.seen - 1].stop
        pixels = self.normalise.pixels(x)
        return torch.stack(
            [vae.log_likelihood(pixels, self._importance, self.likelihood) for vae in self.network.models[:columns]],
            dim=1,
        )


class ClassModels(nn.Module):
    """One model for each output column, made by `make` as columns come; only the one trained last is not frozen."""

    def __init__(self, make):
        super().__init__()
        self.make = make
        self.models = nn.ModuleList()

    def expand(self, n_outputs: int) -> None:
        """Adds freshly initialised models up to n_outputs."""
        while len(self.models) < n_outputs:
            self.models.append(self.make().requires_grad_(False))
