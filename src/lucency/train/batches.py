"""Which films, in which order, seen how: all of it follows from the seed and the epoch, so that a resumed run sees
exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lucency.data.augment import WHOLE, Box, Jitter, apply, draw
from lucency.data.imbalance import oversampled
from lucency.data.swap import swapped
from lucency.preprocess import Preprocess
from lucency.recipe import AugmentSettings, DataSettings
from lucency.train.seen.films import Gallery
from lucency.train.team import fewest

Pixels = NDArray[np.uint8]


class Batch(NamedTuple):
    """What a network learns from, or is judged on, at once."""

    inputs: Tensor
    """float32 (b, k) features; or films (b, 1, side, side), in 0..255."""
    labels: Tensor
    """int64 (b,), or (b, labels) for a multilabel task."""
    misled: Tensor
    """bool (b,), whether a film's acquisition points to another class (lucency.data.cues)."""


@dataclass(frozen=True)
class Examples:
    """What a network is fitted to or judged on in one phase: pooled features, or films."""

    inputs: NDArray[np.float32] | tuple[Pixels, ...]
    """float32 (n, k) features; or n films, uint8 (h, w)."""
    labels: NDArray[np.int64]
    """int64 (n,), or (n, labels) for a multilabel task."""
    preprocess: Preprocess | None = None
    """How films meet the square; None for features."""
    augment: AugmentSettings | None = None
    """What is drawn for films in training; None shows them as they are."""
    frames: tuple[Box, ...] = ()
    """The part of each film that is shown, as shares of it; empty shows films whole."""
    gallery: Gallery | None = None
    """The same films as squares where the network learns, where the recipe has them re-acquired."""
    misled: NDArray[np.bool_] | None = None
    """(n,), whose acquisition points to another class; None: nobody asked."""

    def __len__(self) -> int:
        return len(self.labels)


class Batches(Dataset[Batch]):
    """The batches of one epoch, made when asked for."""

    def __init__(self, examples: Examples, order: NDArray[np.int64], batch: int, seed: tuple[int, int]) -> None:
        self.examples = examples
        self.seed = seed
        self.parts = [order[start : start + batch] for start in range(0, len(order), batch)]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> Batch:
        """Batch number `index`."""
        chosen, misled = self.parts[index], self.examples.misled
        flags = np.zeros(len(chosen), dtype=np.bool_) if misled is None else misled[chosen]
        places = index * len(self.parts[0]) + np.arange(len(chosen))
        labels = torch.from_numpy(self.examples.labels[chosen])
        return Batch(self._inputs(chosen, places), labels, torch.from_numpy(flags))

    def _inputs(self, chosen: NDArray[np.int64], places: NDArray[np.int64]) -> Tensor:
        if isinstance(self.examples.inputs, np.ndarray):
            return torch.from_numpy(self.examples.inputs[chosen])
        if self.examples.gallery:
            return self._seen(self.examples.gallery, chosen, places)
        squares = [self._square(int(film), int(place)) for film, place in zip(chosen, places, strict=True)]
        return torch.from_numpy(np.stack(squares)).unsqueeze(1).float()

    def _seen(self, gallery: Gallery, chosen: NDArray[np.int64], places: NDArray[np.int64]) -> Tensor:
        """Films as they are seen this time, some of them re-acquired: float32 (b, 1, side, side), where they wait."""
        assert self.examples.augment is not None
        assert self.examples.preprocess is not None
        donors, jitters = np.full(len(chosen), -1), []
        for at, (film, place) in enumerate(zip(chosen, places, strict=True)):
            rng = np.random.default_rng((*self.seed, place))
            jitter = draw(self.examples.augment, rng)
            if rng.uniform() < self.examples.augment.reacquire:
                donors[at] = rng.choice(self._others(film))
            else:
                jitter = self._swapped(jitter, film, rng)
            jitters.append(jitter)
        seed = int(np.random.SeedSequence((*self.seed, int(places[0]))).generate_state(1)[0])
        return gallery.seen(chosen, donors, jitters, self.examples.preprocess.image_size, seed)

    def _square(self, film: int, place: int) -> Pixels:
        """One film as it is seen this time. `place` tells repeats of an oversampled film apart."""
        gray = self.examples.inputs[film]
        if self.examples.augment is None or self.examples.preprocess is None:
            return np.asarray(gray, dtype=np.uint8)
        rng = np.random.default_rng((*self.seed, place))
        jitter = self._swapped(draw(self.examples.augment, rng), film, rng)
        side, fit = self.examples.preprocess.image_size, self.examples.preprocess.resize_mode
        return apply(jitter, gray, side, fit, self.examples.frames[film] if self.examples.frames else WHOLE)

    def _swapped(self, jitter: Jitter, film: int, rng: np.random.Generator) -> Jitter:
        """The jitter, acquisition swapped between classes where the recipe says so and films have one label each."""
        labels, augment = self.examples.labels, self.examples.augment
        if augment is None or labels.ndim > 1 or not (augment.aspect_of_class or augment.swap_tone):
            return jitter

        def other(draws: np.random.Generator) -> Pixels:
            return self._shown(int(draws.choice(self._others(film))))

        return swapped(jitter, augment, self._shown(film), int(labels[film]), other, rng)

    def _others(self, film: int) -> NDArray[np.int64]:
        """Indices of the films of another class."""
        return np.flatnonzero(self.examples.labels != self.examples.labels[film])

    def _shown(self, film: int) -> Pixels:
        """The part of a film that is shown, uint8 (h, w)."""
        gray = np.asarray(self.examples.inputs[film], dtype=np.uint8)
        if not self.examples.frames:
            return gray
        (height, width), (left, top, right, bottom) = gray.shape, self.examples.frames[film]
        return gray[int(top * height) : round(bottom * height), int(left * width) : round(right * width)]


def training_batches(
    examples: Examples, settings: DataSettings, batch: int, seed: int, epoch: int
) -> DataLoader[Batch]:
    """One epoch's batches in a fresh random order; rare classes repeated where the recipe says oversample."""
    if settings.imbalance == "oversample":
        order = oversampled(examples.labels, seed, epoch)
    else:
        order = np.random.default_rng((seed, epoch)).permutation(len(examples))
    order = order[: fewest(len(order))]  # processes that train together take as many steps
    if len(order) > batch and len(order) % batch == 1:
        order = order[:-1]  # batch normalisation has no variance over a single film
    return _loader(Batches(examples, order, batch, (seed, epoch)))


def judging_batches(examples: Examples, batch: int) -> DataLoader[Batch]:
    """All examples once, in order."""
    return _loader(Batches(examples, np.arange(len(examples)), batch, (0, 0)))


def _loader(batches: Batches) -> DataLoader[Batch]:
    # Batches are made in this process: on two cores a worker would only take turns with the network.
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=0)
