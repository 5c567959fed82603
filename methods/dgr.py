"""Deep generative replay (Shin et al. 2017)."""

from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from methods.core.losses import distillation
from methods.core.method import Batch, Method, TaskView, hyper
from methods.core.recipe import OptimizerSettings
from models import VAE, ModelSettings


class DGR(Method):
    """Each step learns from the current batch and from as many images that a generator of the past draws.

    At task k: (1/k) L(current) + (1 - 1/k) L(replayed), both for the network and for the generator, a variational
    autoencoder trained beside it (Shin et al. 2017, eq. 1, with the share of van de Ven & Tolias 2019). Generator
    and labels of the replayed images are copies made before the task. Where tasks have output columns of their own
    of which only a task's are active, every replayed image is labelled by each past task's columns in turn and
    the mean of those losses taken (van de Ven's code, which cannot know from which task an image is).

    The generator sees pixels in [0, 1], whatever the network's inputs are normalised to; it has an Adam of its own,
    whatever trains the network. Its weights are part of the network's state and count as parameters.
    """

    about = "replays images drawn from a generator that learns beside the network"
    source = "Shin et al. 2017, Continual learning with deep generative replay"
    reads_pixels = True
    family = "replay"

    targets: Literal["hard", "soft"] = hyper(
        "hard",
        'targets of replayed images: "hard": the previous network\'s answer; "soft": distillation of its probabilities',
        "hard: Shin et al. 2017; soft: DGR+distill of van de Ven & Tolias 2019",
    )
    temperature: Annotated[float, Field(gt=0)] = hyper(
        2.0,
        "temperature that softens both distributions of soft targets; the loss is scaled by T^2",
        "van de Ven & Tolias 2019",
    )
    generator_units: Annotated[int, Field(ge=1)] = hyper(
        400, "width of the generator's hidden layers", "van de Ven et al. 2022: as the network's on Split MNIST"
    )
    generator_layers: Annotated[int, Field(ge=1)] = hyper(
        2, "hidden layers of encoder and of decoder", "van de Ven et al. 2022"
    )
    latent: Annotated[int, Field(ge=1)] = hyper(100, "dimensions of the latent variable", "van de Ven et al. 2022")
    generator_lr: Annotated[float, Field(gt=0)] = hyper(
        0.001, "learning rate of the generator's Adam", "van de Ven et al. 2022, Split MNIST"
    )

    def build(self, scenario, model: ModelSettings):
        self.refuse_fp16("its generator's own Adam would take the scaled gradients")
        network = super().build(scenario, model)
        network.generator = VAE(scenario.image_shape, (self.generator_units,) * self.generator_layers, self.latent)
        self._noise = self.generator("generator")
        self._generator_optimizer: torch.optim.Optimizer | None = None
        self._previous: Any = None
        return network

    def begin_task(self, task: TaskView) -> None:
        if self._generator_optimizer is None or self.recipe.optimizer_state == "fresh":
            adam = OptimizerSettings(name="adam", lr=self.generator_lr)
            self._generator_optimizer = adam.build(self.network.generator.parameters())
        self._groups = self.layout.past_groups(task.id)
        self._previous = self.frozen_copy() if self._groups else None

    def phases(self, task: TaskView):
        own = {id(p) for p in self.network.generator.parameters()}
        yield self.phase(task.train, parameters=[p for p in self.network.parameters() if id(p) not in own])

    def loss(self, batch: Batch) -> Tensor:
        pixels = batch.examples.images / self.normalise.scale
        generator, n = self.network.generator, len(batch)
        if self._previous is None:
            return super().loss(batch) + generator.loss(pixels, self._noise).mean() / generator.pixels
        replayed = self._previous.generator.sample(n, self._noise)
        x = self.normalise(replayed * self.normalise.scale)
        features, past_features = self.network.backbone(torch.cat([batch.x, x])).split(n)
        new = self.cross_entropy(self.network.head(features, batch.tasks), batch)
        old = self._past_loss(self.network.head(past_features), x)
        elbo, past_elbo = generator.loss(torch.cat([pixels, replayed]), self._noise).split(n)
        share = 1 / (self.task.id + 1)
        bound = share * elbo.mean() + (1 - share) * past_elbo.mean()
        return share * new + (1 - share) * old + bound / generator.pixels

    def _past_loss(self, scores: Tensor, x: Tensor) -> Tensor:
        """Of `scores` [N, columns] for the replayed inputs x: mean over the groups of columns that past tasks trained."""
        with torch.no_grad():
            answers = self._previous(x)
        losses = []
        for past, group in enumerate(self._groups):
            own = answers[:, group]
            # active classes newer than the group's own are rivals with probability 0
            active = self.layout.active_in_training(past, self.seen)
            rivals, start = active.select(scores), group.start - active.start
            if self.targets == "hard":
                losses.append(F.cross_entropy(rivals, own.argmax(1) + start))
            else:
                floor = torch.finfo(own.dtype).min
                padded = F.pad(own, (start, rivals.shape[1] - own.shape[1] - start), value=floor)
                losses.append(distillation(rivals, padded, self.temperature))
        return torch.stack(losses).mean()

    def after_step(self, batch: Batch) -> None:
        assert self._generator_optimizer is not None
        self._generator_optimizer.step()
        self._generator_optimizer.zero_grad()

    def end_task(self, task: TaskView) -> None:
        self._previous = None
