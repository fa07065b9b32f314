"""Measures of one map: against a mask, against the reader's answer, against another map.

A map without any evidence for the finding points nowhere: it counts as a miss and as no energy inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from lucency.errors import ExplainError

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

NEAR = 15 / 500
"""Reach of the published pointing game as a share of the film's side: 15 pixels of photographs 500 wide (VOC 2007)."""

SHARES = np.linspace(0.05, 0.95, 19)
"""Thresholds tried for the overlap, as shares of a map's own maximum."""


def upsample(evidence: Map, side: int) -> Map:
    """A map as it is painted: interpolated linearly between the centres of its cells, float32 (side, side)."""
    image = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def pointing_game(evidence: Map, mask: Mask, reach: float = 0.0) -> float:
    """1 if the strongest evidence lies in the mask, or nearer than `reach` pixels to it, else 0.

    Zhang et al. 2018, section 4.2, as their published code plays it: the map is brought to the photograph's own size,
    not to the 224 pixels that the network sees, and hits if a circle of 15 pixels around its maximum meets the mask.
    NEAR is that share of a side; without reach the game is stricter than theirs. Several places of equal strength
    count by the share of them that hit.
    """
    if evidence.max() <= 0:
        return 0.0
    hit = ndimage.distance_transform_edt(~mask) < reach if reach and mask.any() else mask
    return float(hit[evidence == evidence.max()].mean())


def energy_inside(evidence: Map, mask: Mask) -> float:
    """Share of the evidence for the finding that lies in the mask. Wang et al. 2020 (Score-CAM), section 4.2.

        sum over the mask of max(M, 0) / sum of max(M, 0)

    Chance is the mask's share of the film: what evidence spread evenly would score.
    """
    hot = np.maximum(evidence, 0, dtype=np.float64)
    return float(hot[mask].sum() / hot.sum()) if hot.any() else 0.0


def average_precision(evidence: Map, mask: Mask) -> float:
    """Average precision of pixels ranked by the map (area under precision and recall), as in Arun et al. 2021.

        AP = sum over thresholds of (R_t - R_t-1) P_t

    Pixels of equal evidence enter together. Chance is the mask's share of the film.
    """
    order = np.argsort(-evidence.ravel(), kind="stable")
    value, inside = evidence.ravel()[order], mask.ravel()[order]
    last = np.flatnonzero(np.append(np.diff(value) != 0, True))
    hits = np.cumsum(inside)[last]
    gained = np.diff(hits, prepend=0) / max(int(inside.sum()), 1)
    return float(np.sum(gained * hits / (last + 1)))


def iou_by_threshold(evidence: Map, mask: Mask) -> Floats:
    """Intersection over union of mask and map, cut at each of SHARES of the map's maximum: float64 (19,)."""
    top = float(evidence.max())
    if top <= 0:
        return np.zeros(len(SHARES))
    cut = evidence[None] >= (SHARES * top)[:, None, None]
    both = (cut & mask).sum((1, 2))
    return np.asarray(both / (cut | mask).sum((1, 2)), dtype=np.float64)


def cross_fitted_iou(table: Floats, groups: NDArray[np.int64], seed: int = 0) -> Floats:
    """Each film's overlap at the threshold that is best for the films of other patients.

    Patients are parted in two halves at random; each half is cut at the share that suits the other best.

    Args:
        table: (n, 19), `iou_by_threshold` of each film.
        groups: (n,), the same number for films of one patient.
        seed: of the parting.

    Returns:
        float64 (n,); NaN where there is a single patient.
    """
    patients = np.unique(groups)
    half = np.random.default_rng(seed).permutation(patients)[: len(patients) // 2]
    first = np.isin(groups, half)
    found = np.full(len(table), np.nan)
    for here in (first, ~first):
        if here.any() and not here.all():
            found[here] = table[here, int(np.argmax(table[~here].mean(axis=0)))]
    return found


Gray = NDArray[np.uint8]
Probability = Callable[[Gray], NDArray[np.floating]]
"""Films uint8 (n, s, s) → probability of the finding, (n,)."""

STEPS = 20
"""Each step covers or uncovers a twentieth of the film."""
BLUR = 1 / 16
"""Standard deviation of the blur that insertion starts from, as a share of the side."""


@dataclass(frozen=True)
class Curves:
    """The probability of the finding after 0, 1, … STEPS steps, each (STEPS + 1,)."""

    deletion: Floats
    insertion: Floats

    @property
    def deletion_auc(self) -> float:
        """Area under the deletion curve, 0 to 1: small is faithful."""
        return area(self.deletion)

    @property
    def insertion_auc(self) -> float:
        """Area under the insertion curve, 0 to 1: large is faithful."""
        return area(self.insertion)


def deletion_insertion(read: Probability, gray: Gray, evidence: Map, seed: int = 0) -> Curves:
    """Both curves of one film.

    Args:
        read: gives the probability of the finding.
        gray: uint8 (s, s), the film as the network sees it.
        evidence: its map.
        seed: pixels of equal evidence follow each other in an order drawn from it.

    Raises:
        ExplainError: the reader's answer is not a number.
    """
    order = rank_pixels(upsample(evidence, gray.shape[0]), seed)
    blank = np.full_like(gray, round(float(gray.mean())))
    blurred = ndimage.gaussian_filter(gray, BLUR * gray.shape[0])
    found = read(np.concatenate([_steps(gray, blank, order), _steps(blurred, gray, order)])).astype(np.float64)
    if not np.isfinite(found).all():
        raise ExplainError("the network's answer is not a number; its weights are broken: get or train it again")
    return Curves(found[: STEPS + 1], found[STEPS + 1 :])


def rank_pixels(evidence: Map, seed: int) -> NDArray[np.int64]:
    """Pixels from the strongest evidence for to the strongest against, int64 (s · s,); ties in random order."""
    chance = np.random.default_rng(seed).random(evidence.size)
    return np.lexsort((chance, -evidence.ravel()))


def area(curve: Floats) -> float:
    """Area under a curve over equal steps of 0..1, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def _steps(start: Gray, goal: Gray, order: NDArray[np.int64]) -> Gray:
    """The film after each step from `start` to `goal`: uint8 (STEPS + 1, s, s)."""
    films = np.repeat(start[None], STEPS + 1, axis=0).reshape(STEPS + 1, -1)
    for step in range(1, STEPS + 1):
        changed = order[: round(len(order) * step / STEPS)]
        films[step, changed] = goal.ravel()[changed]
    return films.reshape(STEPS + 1, *start.shape)


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


def structural_similarity(one: Map, other: Map) -> float:
    """Structural similarity (Wang et al. 2004, eq. 13) of two maps without sign, each divided by its own maximum.

        SSIM = (2 ma mb + c1)(2 sab + c2) / ((ma² + mb² + c1)(sa² + sb² + c2)),   averaged over the map

    Means m, variances s² and covariance sab are those of a window of 7 × 7 on a grid of 56 × 56, wherever it lies
    whole in the map; the range is 1. Signed maps will not do: two opposite signs would count as similarity.
    """
    a, b = (_unit(upsample(evidence, GRID)) for evidence in (one, other))
    c1, c2 = (k**2 for k in STABLE)
    ma, mb = _mean(a), _mean(b)
    saa, sbb, sab = _mean(a * a) - ma * ma, _mean(b * b) - mb * mb, _mean(a * b) - ma * mb
    ratio = (2 * ma * mb + c1) * (2 * sab + c2) / ((ma**2 + mb**2 + c1) * (saa + sbb + c2))
    return float(ratio.mean())


def _same_size(one: Map, other: Map) -> tuple[Map, Map]:
    if one.shape == other.shape:
        return one, other
    side = max(*one.shape, *other.shape)
    return upsample(one, side), upsample(other, side)


def _unit(evidence: Map) -> NDArray[np.float64]:
    top = float(evidence.max())
    return evidence.astype(np.float64) / (top or 1.0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    edge = WINDOW // 2
    return np.asarray(ndimage.uniform_filter(values, WINDOW)[edge:-edge, edge:-edge])
