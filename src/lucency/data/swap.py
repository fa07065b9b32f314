"""Seen as if acquired like another class: what tells the classes apart by acquisition alone is dealt to all alike.

Augmentation against a shortcut that is known: where pneumonia films are wider or darker than normal ones, a film
takes on the shape or the gray levels of the other class (Geirhos et al. 2020, arXiv:2004.07780): the link between
cue and label is broken in training, for no held-out film that shares the link will reveal it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import geometric_mean

import numpy as np
from numpy.typing import NDArray

from lucency.data.augment import Jitter
from lucency.recipe import AugmentSettings

Pixels = NDArray[np.uint8]
LEAST = 0.3
"""The smallest share of the way that swapped gray levels go."""


def swapped(
    jitter: Jitter,
    settings: AugmentSettings,
    gray: Pixels,
    label: int,
    other: Callable[[np.random.Generator], Pixels],
    rng: np.random.Generator,
) -> Jitter:
    """The same jitter, with shape and gray levels dealt to all classes alike.

    Args:
        jitter: what was drawn.
        settings: `aspect_of_class` and `swap_tone` count here.
        gray: the film, uint8 (h, w).
        label: its class.
        other: draws a film of another class, uint8.
        rng: draws whether, and how far.
    """
    if settings.aspect_of_class:
        # stretched to the square, a film of twice the width shows everything half as wide
        shift = settings.aspect_of_class[label] / geometric_mean(settings.aspect_of_class)
        jitter = replace(jitter, aspect=jitter.aspect * shift)
    if settings.swap_tone and rng.uniform() < settings.swap_tone:
        jitter = replace(jitter, levels=levels_like(gray, other(rng), float(rng.uniform(LEAST, 1.0))))
    return jitter


def levels_like(gray: Pixels, other: Pixels, share: float) -> bytes:
    """The gray that each gray becomes, so that a film's histogram goes `share` of the way to another's.

        t(g) = (1 - share) g + share min{h : F_other(h) >= F(g)}        Gonzalez & Woods 2018, section 3.3

    Args:
        gray: the film, uint8.
        other: uint8, of any size.
        share: 0 changes nothing, 1 matches the histograms.

    Returns:
        256 grays, ascending.
    """
    below, below_other = (np.bincount(film.ravel(), minlength=256).cumsum() / film.size for film in (gray, other))
    matched = np.searchsorted(below_other, below - 1e-12).clip(0, 255)
    return bytes(np.rint((1 - share) * np.arange(256) + share * matched).astype(np.uint8))
