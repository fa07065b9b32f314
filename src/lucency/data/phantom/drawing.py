"""One phantom: a patient drawn, placed, made ill or left well, and exposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.data.phantom.anatomy import Anatomy, draw_anatomy
from lucency.data.phantom.chest import render
from lucency.data.phantom.exposure import draw_exposure, expose
from lucency.data.phantom.lesions import SEEN, Lesion, air_lost, draw_lesion
from lucency.data.phantom.view import draw_view, place

SIDE = 256
"""Rows of a phantom film where none are asked for."""


@dataclass(frozen=True)
class Phantom:
    """A drawn film and the truth about it, all (h, w)."""

    film: NDArray[np.uint8]
    """Bright = dense."""
    lesion: NDArray[np.bool_]
    """Lung pixels that have lost more than the share SEEN of their air; nowhere in a well film."""
    lungs: NDArray[np.bool_]
    """Lung beside heart and vessels and above the diaphragm, ill or not."""


def draw(seed: int | tuple[int, ...], ill: bool, side: int = SIDE, take: int = 0) -> Phantom:
    """Draw one film.

    Args:
        seed: which patient; the same seed is the same anatomy and, if ill, the same pneumonia.
        ill: whether the patient has pneumonia; nothing else of the film depends on it.
        side: rows; the film is 1 to 1.33 times as wide.
        take: which of the patient's films: each is placed and exposed anew.
    """
    anatomy, lesion = _patient(seed)
    rng = np.random.default_rng([*_words(seed), 1, take])
    view, exposure = draw_view(rng), draw_exposure(rng)
    grid = place(anatomy, view, side)
    chest = render(anatomy, view, grid)
    lost = air_lost(lesion, anatomy, chest, grid) if ill else np.zeros_like(chest.air)
    film = expose(chest.tissue - chest.air * (1 - lost), exposure, rng)
    return Phantom(film, chest.lungs & (lost > SEEN), chest.lungs)


def pneumonia(seed: int | tuple[int, ...]) -> Lesion:
    """The pneumonia that the patient drawn from `seed` has when ill."""
    return _patient(seed)[1]


def _patient(seed: int | tuple[int, ...]) -> tuple[Anatomy, Lesion]:
    rng = np.random.default_rng([*_words(seed), 0])
    anatomy = draw_anatomy(rng)
    return anatomy, draw_lesion(rng)


def _words(seed: int | tuple[int, ...]) -> tuple[int, ...]:
    return (seed,) if isinstance(seed, int) else seed
