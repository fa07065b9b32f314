"""Whether 80 % means 80 %: calibration error and the reliability curve.

ECE is the expected calibration error (Naeini, Cooper & Hauskrecht 2015) of the probability of a finding, in bins of
equal width as in torchmetrics; adaptive ECE uses bins of equal count (Nguyen & O'Connor 2015; Nixon et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.intervals import LEVEL, resampled

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """A reliability curve: k bins that hold a film, each array (k,)."""

    predicted: Floats
    """Mean probability."""
    observed: Floats
    """Share of films that have the finding."""
    films: NDArray[np.int64]


def ece(truth: Bools, probability: NDArray[np.floating], bins: int = BINS, adaptive: bool = False) -> float:
    """Expected calibration error.

    ECE = sum_k n_k / n |mean probability of bin k - share with the finding in bin k|
    """
    return float(weighted_ece(truth, probability, np.ones((1, len(truth))), bins, adaptive)[0])


def weighted_ece(
    truth: Bools, probability: NDArray[np.floating], weights: Floats, bins: int = BINS, adaptive: bool = False
) -> Floats:
    """ECE of each row of weights (b, n): (b,). Bins stay those of the films as they are."""
    error: Floats = np.abs(_gaps(truth, probability, weights, bins, adaptive)).sum(axis=1)
    return error


def ece_interval(
    truth: Bools, probability: NDArray[np.floating], groups: NDArray[np.int64], resamples: int, seed: int
) -> tuple[float, float]:
    """Interval of the ECE that covers the true one at least 95 % of the time, by resampling patients.

    ECE is a sum of distances from zero, so chance alone makes it larger, in the films and again in each resample;
    BCa and the plain bootstrap fail near zero. The upper bound is the resamples' upper percentile, which that bias
    only raises. The lower one follows from the triangle inequality: with bin gaps g, true gaps t and noise g - t,
    |g| - |t| is at most |g - t|, whose upper percentile the resamples give. It reaches 0 where the films cannot tell
    the probabilities from calibrated ones.
    """
    gap = _gaps(truth, probability, np.ones((1, len(truth))), BINS, adaptive=False)
    draws = resampled(groups, resamples, np.random.default_rng(seed))
    drawn = np.concatenate([_gaps(truth, probability, weights, BINS, adaptive=False) for weights in draws])
    noise = np.quantile(np.abs(drawn - gap).sum(axis=1), (1 + LEVEL) / 2)
    high = np.quantile(np.abs(drawn).sum(axis=1), (1 + LEVEL) / 2)
    return max(0.0, float(np.abs(gap).sum() - noise)), min(1.0, float(high))


def _gaps(truth: Bools, probability: NDArray[np.floating], weights: Floats, bins: int, adaptive: bool) -> Floats:
    """Mean of probability minus truth over all films, bin by bin: (b, bins)."""
    place = equal_count(probability, bins) if adaptive else equal_width(probability, bins)
    inside = np.zeros((len(truth), bins))
    inside[np.arange(len(truth)), place] = probability - truth
    total = weights.sum(axis=1, keepdims=True)
    gaps: Floats = weights @ inside / np.where(total > 0, total, np.nan)
    return gaps


def equal_width(probability: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """The bin of each film (n,); bin k holds k / bins <= p < (k + 1) / bins, the last one also p = 1."""
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, np.asarray(probability, dtype=np.float64), side="right")


def equal_count(probability: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """The bin of each film (n,); bins hold as many films as each other, but films of one probability share a bin."""
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(inner, probability, side="right")


def reliability(
    truth: Bools, probability: NDArray[np.floating], bins: int = BINS, adaptive: bool = False
) -> Reliability:
    """The reliability curve."""
    place = equal_count(probability, bins) if adaptive else equal_width(probability, bins)
    films = np.bincount(place, minlength=bins)
    held = films > 0
    sums = (np.bincount(place, weights=values, minlength=bins)[held] for values in (probability, truth))
    predicted, observed = (total / films[held] for total in sums)
    return Reliability(predicted, observed, films[held].astype(np.int64))
