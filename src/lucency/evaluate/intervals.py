"""95 % intervals of any statistic of films, by resampling patients; shares and areas have their own in bounds.py.

Films of one patient are alike, so patients are drawn, not films (Davison & Hinkley 1997, section 3.8). The interval is
BCa: bias-corrected and accelerated (Efron 1987; Efron & Tibshirani 1993, chapter 14), its acceleration by a jackknife
over patients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""Takes weights (b, n) over n films and gives (b, m): m figures for each of b weighted sets."""

NORMAL = NormalDist()
LEVEL = 0.95
METHOD = (
    "shares by Wilson 1927 with the design effect of patients, AUROC in log-odds by the spread of patients (Obuchowski "
    "1997), all others by BCa bootstrap (Efron 1987)"
)
"""What reports say of how intervals are made."""
CHUNK = 1_000_000
"""Weights held at once: memory does not grow with films or resamples."""
BLOCKS = 500
"""At most so many sets are left out: leaving out patients or blocks of them gives the same acceleration."""
ENOUGH = 0.9
"""A figure undefined in more than a tenth of the resamples gets no interval."""


@dataclass(frozen=True)
class Bands:
    """m figures with their intervals, each float64 (m,); NaN where there is none."""

    value: Floats
    low: Floats
    high: Floats
    fixed: NDArray[np.bool_]
    """Where every resample gave the same figure: resampling cannot tell how sure it is."""


def bands(statistic: Statistic, groups: Ints, resamples: int = 2000, seed: int = 0, level: float = LEVEL) -> Bands:
    """`statistic` of the films as they are, and its interval at `level` by resampling patients.

    Args:
        statistic: weights (b, n) -> (b, m).
        groups: (n,), from 0 without gaps: films with the same number show the same patient.
        resamples: how many sets are drawn.
        seed: of the draw; the same seed, the same interval.
        level: of the interval, between 0 and 1.
    """
    return bands_of(draw(statistic, groups, resamples, seed), level)


@dataclass(frozen=True)
class Draws:
    """m figures of the films as they are, of b resamples, and of j sets with patients left out."""

    value: Floats
    drawn: Floats
    """(b, m)."""
    left_out: Floats
    """(j, m)."""


def draw(statistic: Statistic, groups: Ints, resamples: int = 2000, seed: int = 0) -> Draws:
    """What intervals at any level are made of; arguments as of `bands`."""
    return Draws(
        statistic(np.ones((1, len(groups))))[0],
        _spread(statistic, resampled(groups, resamples, np.random.default_rng(seed))),
        _spread(statistic, leaving_out(groups, np.random.default_rng(seed))),
    )


def bands_of(draws: Draws, level: float = LEVEL) -> Bands:
    """Intervals at `level`."""
    value, drawn, left_out = draws.value, draws.drawn, draws.left_out
    low, high, fixed = np.full_like(value, np.nan), np.full_like(value, np.nan), np.zeros(len(value), dtype=bool)
    for i, figure in enumerate(value):
        column = drawn[:, i][np.isfinite(drawn[:, i])]
        if np.isfinite(figure) and len(column) >= max(2, ENOUGH * len(drawn)):
            fixed[i] = np.ptp(column) <= 1e-12 * max(1.0, abs(figure))
            low[i], high[i] = bca(column, figure, left_out[:, i], level)
    return Bands(value, low, high, fixed)


def bca(drawn: Floats, value: float, left_out: Floats, level: float = LEVEL) -> tuple[float, float]:
    """BCa interval (Efron & Tibshirani 1993, eq. 14.9 to 14.15).

    Args:
        drawn: (b,), the figure in each resample.
        value: the figure itself.
        left_out: (j,), the figure with one patient (or block of patients) left out.
        level: of the interval.
    """
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2  # ties, frequent with counts, are shared
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    pull = np.mean(left_out[np.isfinite(left_out)]) - left_out[np.isfinite(left_out)]
    squares = float(np.sum(pull**2))
    acceleration = float(np.sum(pull**3)) / (6 * squares**1.5) if squares > 0 else 0.0
    reach = [bias + NORMAL.inv_cdf(tail) for tail in ((1 - level) / 2, (1 + level) / 2)]
    low, high = np.quantile(drawn, [NORMAL.cdf(bias + z / (1 - acceleration * z)) for z in reach])
    return float(low), float(high)


def resampled(groups: Ints, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights (b, n), b at a time until `resamples`: how often each film's patient was drawn."""
    patients = int(groups.max()) + 1
    step = max(1, CHUNK // len(groups))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = rng.integers(patients, size=(rows, patients)) + patients * np.arange(rows)[:, None]
        times = np.bincount(draws.ravel(), minlength=rows * patients).reshape(rows, patients)
        yield times[:, groups].astype(np.float64)


def leaving_out(groups: Ints, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights (b, n), b at a time: each row leaves out one patient, or one of BLOCKS random blocks of patients."""
    patients = int(groups.max()) + 1
    blocks = min(patients, BLOCKS)
    block = rng.permutation(patients)[groups] % blocks
    step = max(1, CHUNK // len(groups))
    for start in range(0, blocks, step):
        rows = np.arange(start, min(start + step, blocks))
        yield (block[None, :] != rows[:, None]).astype(np.float64)


def _spread(statistic: Statistic, weights: Iterator[Floats]) -> Floats:
    return np.concatenate([statistic(chunk) for chunk in weights])
