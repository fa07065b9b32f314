"""Batches and their augmentation: both depend on (seed, epoch, batch) only, so that a resumed run has the same batches
as an uninterrupted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lucency.data.imbalance import oversampled
from lucency.recipe import AugmentSettings, DataSettings
from lucency.train.augment import augment_pictures, planes_of
from lucency.train.cached_views import Views
from lucency.train.distributed import all_min


class Batch(NamedTuple):
    """A training or validation batch."""

    inputs: Tensor
    """float32 (b, k) features; or films (b, channels, size, size), in 0..255; or views, as cached_views packs them."""
    labels: Tensor
    """int64 (b,), or (b, labels) for a multilabel task."""


@dataclass(frozen=True)
class Examples:
    """The n examples of one phase, on one device."""

    inputs: Tensor | Views
    """float32 (n, k) features; or films, uint8 (n, s, s) or (n, s, s, 3); or views (lucency.train.cached_views)."""
    labels: Tensor
    """int64 (n,), or (n, labels) for a multilabel task."""
    size: int = 0
    """Pixels along the square that the network sees; 0 for features."""
    augment: AugmentSettings | None = None
    """Augmentation of films in training; None leaves them unchanged."""
    boxes: Tensor | None = None
    """float32 (n, 4): the part of each film that is cropped, as shares of it; None is the whole film."""

    def __len__(self) -> int:
        return len(self.labels)


class BatchDataset(Dataset[Batch]):
    """The batches of one epoch, made on access.

    Args:
        examples: n of them.
        order: int64 (k,), indices into `examples`, in the order of this epoch.
        batch_size: examples per batch.
        seed: of the run, and the epoch.
    """

    def __init__(self, examples: Examples, order: NDArray[np.int64], batch_size: int, seed: tuple[int, int]) -> None:
        self.examples = examples
        self.seed = seed
        self.batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        """Batch number `index`."""
        chosen = torch.from_numpy(self.batches[index])
        return Batch(self._inputs(chosen.to(self.examples.inputs.device), index), self.examples.labels[chosen])

    def _inputs(self, chosen: Tensor, index: int) -> Tensor:
        inputs, settings = self.examples.inputs[chosen], self.examples.augment
        if inputs.dtype != torch.uint8:  # features or views: augmented already
            return inputs
        if settings is None:
            return planes_of(inputs).float()
        rng = np.random.default_rng((*self.seed, index))
        boxes = None if self.examples.boxes is None else self.examples.boxes[chosen]
        return augment_pictures(inputs, settings, self.examples.size, rng, boxes)


def train_loader(
    examples: Examples, settings: DataSettings, batch_size: int, seed: int, epoch: int
) -> DataLoader[Batch]:
    """One epoch's batches in a new random order; rare classes repeated for `imbalance = "oversample"`."""
    if settings.imbalance == "oversample":
        order = oversampled(examples.labels.numpy(), seed, epoch)
    else:
        order = np.random.default_rng((seed, epoch)).permutation(len(examples))
    order = order[: all_min(len(order))]  # all processes take the same number of steps
    if len(order) > batch_size and len(order) % batch_size == 1:
        order = order[:-1]  # batch normalisation has no variance over a single film
    return _loader(BatchDataset(examples, order, batch_size, (seed, epoch)))


def val_loader(examples: Examples, batch_size: int) -> DataLoader[Batch]:
    """All examples once, in order."""
    return _loader(BatchDataset(examples, np.arange(len(examples)), batch_size, (0, 0)))


def _loader(batches: BatchDataset) -> DataLoader[Batch]:
    # Batches are made in this process: films are on the network's device already, and workers would compete for cores.
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=0)
