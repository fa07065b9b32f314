"""From opacity to film: scatter, the detector's blur and noise, the tone curve, collimation and the marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lucency.data.phantom.anatomy import Floats

COARSE = 8
"""Scatter is smooth: it is computed on cells of this many pixels."""
LETTERS = {
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
}
"""Lead markers, seven rows of five dots."""


@dataclass(frozen=True)
class Exposure:
    """How one film was exposed, developed and framed."""

    scatter: float
    """Share of the image that is scattered light."""
    blur: float
    """Standard deviation of the detector's blur, in 256ths of the film's height."""
    noise: float
    """Standard deviation of the quantum noise behind one unit of opacity, in units of opacity."""
    black: float
    """Opacity printed black."""
    white: float
    """Opacity printed white."""
    gamma: float
    """Exponent of the tone curve."""
    border: tuple[float, float, float, float]
    """Collimated margins left, top, right, bottom, as shares of the film's side."""
    letter: str
    """Marker, or nothing."""
    letter_at: tuple[float, float]
    """Where it stands: shares of the film's width and height."""
    letter_size: float
    """Its height as a share of the film's height."""


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw how a film was taken: nothing here knows whether the patient is ill."""
    margins = rng.uniform(0.01, 0.07, 4) * (rng.uniform(size=4) < 0.25)
    letter = str(rng.choice(["", "R", "L"], p=[0.3, 0.6, 0.1]))
    column = rng.uniform(0.03, 0.1)
    return Exposure(
        scatter=rng.uniform(0.1, 0.3),
        blur=rng.uniform(0.5, 1.1),
        noise=rng.uniform(0.004, 0.018),
        black=rng.uniform(0.0, 0.12),
        white=rng.uniform(0.95, 1.12),
        gamma=rng.uniform(0.85, 1.35),
        border=(float(margins[0]), float(margins[1]), float(margins[2]), float(margins[3])),
        letter=letter,
        letter_at=(1 - column if letter == "L" else column, rng.uniform(0.03, 0.45)),
        letter_size=rng.uniform(0.035, 0.07),
    )


def expose(opacity: Floats, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the film.

    Args:
        opacity: float32 (h, w), 0 in the open, about 1 behind the heart.
        exposure: how.
        rng: draws the noise.

    Returns:
        uint8 (h, w), bright = dense.
    """
    veiled = opacity + np.float32(exposure.scatter) * (_smooth(opacity) - opacity)
    # Fewer quanta reach the film behind dense tissue: their relative noise grows as exp(opacity / 2)
    grain = rng.standard_normal(opacity.shape, dtype=np.float32)
    noisy = veiled + grain * np.exp(veiled) * np.float32(exposure.noise)
    sharp = exposure.blur * opacity.shape[0] / 256
    blurred = ndimage.gaussian_filter(noisy, sharp, truncate=2.5)
    tone = np.clip((blurred - exposure.black) * np.float32(1 / (exposure.white - exposure.black)), 0, 1)
    film = tone ** np.float32(exposure.gamma)
    _collimate(film, exposure)
    _mark(film, exposure)
    return np.asarray(film * np.float32(255) + np.float32(0.5), dtype=np.uint8)


def _smooth(opacity: Floats) -> Floats:
    """The opacity blurred over an eighth of the film, by way of a coarse grid."""
    height, width = opacity.shape
    padded = np.pad(opacity, ((0, -height % COARSE), (0, -width % COARSE)), mode="edge")
    rows, columns = padded.shape[0] // COARSE, padded.shape[1] // COARSE
    cells = padded.reshape(rows, COARSE, columns, COARSE).mean(axis=(1, 3))
    soft = ndimage.gaussian_filter(cells, rows / 8)
    across = np.repeat(soft, COARSE, axis=1)
    return np.repeat(across, COARSE, axis=0)[:height, :width]


def _collimate(film: Floats, exposure: Exposure) -> None:
    """Blacken the margins outside the beam."""
    height, width = film.shape
    left, top, right, bottom = (round(share * height) for share in exposure.border)
    film[:top] = film[height - bottom :] = 0
    film[:, :left] = film[:, width - right :] = 0


def _mark(film: Floats, exposure: Exposure) -> None:
    """Print the lead letter."""
    if not exposure.letter:
        return
    height, width = film.shape
    dots = np.array([list(row) for row in LETTERS[exposure.letter]]) == "1"
    scale = max(1, round(exposure.letter_size * height / 7))
    stamp = np.kron(dots, np.ones((scale, scale), dtype=bool))
    top = min(round(exposure.letter_at[1] * height), height - stamp.shape[0])
    left = min(max(round(exposure.letter_at[0] * width - stamp.shape[1] / 2), 0), width - stamp.shape[1])
    film[top : top + stamp.shape[0], left : left + stamp.shape[1]][stamp] = 0.97
