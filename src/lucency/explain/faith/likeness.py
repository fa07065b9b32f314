"""How alike two maps of one film are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from lucency.explain.faith.place import Map, drawn

GRID = 56
"""Maps of different sizes are compared on so many points a side."""
WINDOW = 7
"""Of the structural similarity, in points of the grid."""
STABLE = (0.01, 0.03)
"""K1 and K2 of Wang et al. 2004."""


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's rho of two maps, point by point; 0 where one of them is the same everywhere.

    Maps of different sizes are brought to the larger one's size first.
    """
    a, b = _same_size(one, other)
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return 0.0
    return float(stats.spearmanr(a.ravel(), b.ravel()).statistic)


def structure(one: Map, other: Map) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13) of two maps without sign, each divided by its own maximum.

        SSIM = (2 ma mb + c1)(2 sab + c2) / ((ma² + mb² + c1)(sa² + sb² + c2)),   averaged over the map

    Means m, variances s² and covariance sab are those of a window of 7 × 7 on a grid of 56 × 56, wherever it lies
    whole in the map; the range is 1. Signed maps will not do: two opposite signs would count as likeness.
    """
    a, b = (_unit(drawn(evidence, GRID)) for evidence in (one, other))
    c1, c2 = (k**2 for k in STABLE)
    ma, mb = _mean(a), _mean(b)
    saa, sbb, sab = _mean(a * a) - ma * ma, _mean(b * b) - mb * mb, _mean(a * b) - ma * mb
    ratio = (2 * ma * mb + c1) * (2 * sab + c2) / ((ma**2 + mb**2 + c1) * (saa + sbb + c2))
    return float(ratio.mean())


def _same_size(one: Map, other: Map) -> tuple[Map, Map]:
    if one.shape == other.shape:
        return one, other
    side = max(*one.shape, *other.shape)
    return drawn(one, side), drawn(other, side)


def _unit(evidence: Map) -> NDArray[np.float64]:
    top = float(evidence.max())
    return evidence.astype(np.float64) / (top or 1.0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = WINDOW // 2
    return np.asarray(ndimage.uniform_filter(values, WINDOW)[edge:-edge, edge:-edge])
