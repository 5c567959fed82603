"""From stored examples to batches, and the loss that is taken over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.core import losses
from methods.core.batch import Batch
from methods.core.state import State
from scenarios import Examples, ImageFiles
from scenarios.active import ActiveClasses
from scenarios.image_files import Images
from scenarios.seeding import seed_for

IMAGES_AT_ONCE = 512
"""Images that are looked at together: without gradients there is room for more than a training step's."""


class Batching(State):
    """`batch` for examples to train on, `batches` for examples to look at."""

    _decoded: int
    """Batches of files decoded on demand in this task: each has draws of its own."""
    compete = "setting"
    """Classes in the cross-entropy: those active by the "setting", or the "new" task's alone; a hyperparameter of some."""

    def batch(self, examples: Examples, epoch: int = 0, pixels: Tensor | None = None, replayed: bool = True) -> Batch:
        """Stored examples made ready for the network: augmented while a phase that augments runs, then normalised.

        pixels: uint8, the same examples decoded and augmented already, as the loop does ahead of the steps.
        replayed: by the method. The loop's own batches are mixed by draws of their own, the same for all methods.
        """
        batch = self._ready(examples, self._augmented(examples.images) if pixels is None else pixels, epoch)
        if self.augmenter.mixes():
            self._mix(batch, replayed)
        return batch

    def batch_of(self, data: Examples, x: Tensor, rows: Tensor, epoch: int = 0) -> Batch:
        """The examples of `data` at `rows`, int64 [n], whose images all stand normalised in x, float32 [N, C, H, W]."""
        images, labels = x.index_select(0, rows), data.labels.index_select(0, rows)
        tasks = data.tasks if isinstance(data.tasks, int) else data.tasks.index_select(0, rows)
        return Batch(images, labels, tasks, self.active_in_training(tasks), partial(data.__getitem__, rows), epoch)

    def batches(
        self,
        examples: Examples,
        size: int = IMAGES_AT_ONCE,
        mixed_precision: bool = True,
        augmented_files: bool = False,
    ) -> Iterator[Batch]:
        """Stored examples in order, `size` at a time, to be looked at: for features, importance, embeddings.

        On the method's device, augmented only between the augmenter's `start` and `stop`, never mixed; files decoded as
        for a test or, with augmented_files, as for training, anew at every call. The body of the loop over them runs in the recipe's precision; mixed_precision=False: in float32, for
        what would underflow, such as squared gradients.
        """
        for rows in torch.arange(len(examples), device=examples.labels.device).split(size):
            piece = examples[rows].to(self.device)
            as_at_test = isinstance(piece.images, ImageFiles) and not augmented_files
            with self.precision() if mixed_precision else nullcontext():
                yield self._ready(piece, piece.images if as_at_test else self._augmented(piece.images))

    def _ready(self, examples: Examples, images: Images, epoch: int = 0) -> Batch:
        x = self.normalise(images)
        if self.memory_format == "channels last":
            x = x.contiguous(memory_format=torch.channels_last)
        active = self.active_in_training(examples.tasks)
        return Batch(x, examples.labels, examples.tasks, active, examples, epoch)

    def _augmented(self, images: Images) -> Tensor:
        """Stored images -> uint8 [N, C, H, W]. Files are decoded and augmented for training, anew at every call."""
        if isinstance(images, ImageFiles):
            self._decoded += 1
            return images.to(self.device).decode(seed_for(self.seed, "decode", self.task.id, self._decoded))
        return self.augmenter.old(images)

    def _mix(self, batch: Batch, replayed: bool) -> None:
        """Mixes images in pairs and gives the batch soft targets; the classes of either partner are active."""
        hard = F.one_hot(batch.y, self.layout.width(self.task.id)).to(batch.x.dtype)
        mixed = self.augmenter.mix(batch.x, hard, replayed)
        if mixed is None:
            return
        batch.x, targets = mixed
        batch.active = batch.active.joined_by(targets > 0)
        batch.targets = losses.smoothed(targets, batch.active, self.recipe.label_smoothing)

    def join(self, *batches: Batch) -> Batch:
        """One batch of all examples of `batches`, whose images are ready and are not made so again."""
        x, y = torch.cat([b.x for b in batches]), torch.cat([b.y for b in batches])
        tasks = torch.cat([b.task_ids for b in batches])
        joined = Batch(x, y, tasks, self.active_in_training(tasks), partial(_together, batches), batches[0].epoch)
        if any(b.targets is not None for b in batches):
            joined.targets = torch.cat([self._targets(b) for b in batches])
            joined.active = joined.active.joined_by(joined.targets > 0)  # those of an image's partner too
        return joined

    def _targets(self, batch: Batch) -> Tensor:
        if batch.targets is not None:
            return batch.targets
        hard = F.one_hot(batch.y, self.layout.width(self.task.id)).to(batch.x.dtype)
        return losses.smoothed(hard, batch.active, self.recipe.label_smoothing)

    def active_in_training(self, tasks: int | Tensor) -> ActiveClasses:
        """The classes that are active in the loss of examples from `tasks` (one id, or int64 [N]): the setting's, or the
        present task's alone where the method's `compete` is "new"."""
        if self.compete == "new":
            return ActiveClasses(self.task.outputs)
        return self.layout.active_in_training(tasks, self.seen)

    def cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy over the active classes; against soft targets where images are mixed."""
        if batch.targets is not None:
            return losses.soft_cross_entropy(logits, batch.targets, batch.active)
        return losses.cross_entropy(logits, batch.y, batch.active, label_smoothing=self.recipe.label_smoothing)


def _together(batches: tuple[Batch, ...]) -> Examples:
    return Examples.concatenate([batch.examples for batch in batches])
