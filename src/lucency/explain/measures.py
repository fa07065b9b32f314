"""Measures of one map: against a mask, against the reader's answer, against another map.

A map without evidence for the finding counts as a miss and as zero energy inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from lucency.arrays import Bools as Mask
from lucency.arrays import Floats, Ints, Pixels
from lucency.arrays import Floats32 as Map
from lucency.errors import ExplainError
from lucency.evaluate import metrics

Probability = Callable[[Pixels], NDArray[np.floating]]
"""Films uint8 (n, s, s) → probability of the finding, (n,)."""

NEAR = 15 / 500
"""Tolerance of the published pointing game as a share of the side: 15 pixels of photographs 500 wide (VOC 2007)."""
THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Thresholds tried for the overlap, as shares of a map's maximum."""
STEPS = 20
"""Each step of deletion and insertion covers or uncovers a twentieth of the film."""
BLUR = 1 / 16
"""Standard deviation of the blur that insertion starts from, as a share of the side."""
GRID, WINDOW, K1, K2 = 56, 7, 0.01, 0.03
"""Of the structural similarity: points a side, points of the window, and the constants of Wang et al. 2004."""


def upsample(evidence: Map, side: int) -> Map:
    """A map as it is painted: interpolated linearly between the centres of its cells, float32 (side, side)."""
    image = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def pointing_game(evidence: Map, mask: Mask, tolerance: float = 0.0) -> float:
    """1 if the strongest evidence lies in the mask, or less than `tolerance` pixels from it, else 0.

    Zhang et al. 2018, section 4.2, as their code plays it: on the map at the photograph's own size, with NEAR as
    tolerance. Several places of equal strength count by the share of them that hit.
    """
    if evidence.max() <= 0:
        return 0.0
    hit = ndimage.distance_transform_edt(~mask) < tolerance if tolerance and mask.any() else mask
    return float(hit[evidence == evidence.max()].mean())


def energy_inside(evidence: Map, mask: Mask) -> float:
    """Share of the evidence for the finding that lies in the mask. Wang et al. 2020 (Score-CAM), section 4.2.

        sum over the mask of max(M, 0) / sum of max(M, 0)

    Chance is the mask's share of the film.
    """
    positive = np.maximum(evidence, 0, dtype=np.float64)
    return float(positive[mask].sum() / positive.sum()) if positive.any() else 0.0


def average_precision(evidence: Map, mask: Mask) -> float:
    """Area under precision and recall of pixels ranked by the map, as in Arun et al. 2021.

    Pixels of equal evidence enter together. Chance is the mask's share of the film; 1 where the mask is all of it.
    """
    if mask.all() or not mask.any():
        return float(mask.all())
    return metrics.average_precision(mask.ravel(), evidence.ravel())


def iou_by_threshold(evidence: Map, mask: Mask) -> Floats:
    """Intersection over union of mask and map, cut at each of THRESHOLDS of the map's maximum: float64 (19,)."""
    top = float(evidence.max())
    if top <= 0:
        return np.zeros(len(THRESHOLDS))
    cut = evidence[None] >= (THRESHOLDS * top)[:, None, None]
    return np.asarray((cut & mask).sum((1, 2)) / (cut | mask).sum((1, 2)), dtype=np.float64)


def cross_fitted_iou(table: Floats, groups: Ints, seed: int = 0) -> Floats:
    """Each film's overlap at the threshold that is best for the other half of the patients.

    Args:
        table: (n, 19), `iou_by_threshold` of each film.
        groups: (n,), the same number for films of one patient.
        seed: of the halving.

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


def deletion_insertion(read: Probability, gray: Pixels, evidence: Map, seed: int = 0) -> Curves:
    """Cover the film from the strongest evidence on, and uncover it. Petsiuk et al. 2018 (RISE), section 4.1.

    Deletion covers with the film's own mean, which surprises a network less than the paper's black; insertion starts
    from the blurred film.

    Args:
        read: gives the probability of the finding.
        gray: uint8 (s, s), in colour (s, s, 3), the film as the network sees it.
        evidence: its map.
        seed: of the order of pixels with equal evidence.

    Raises:
        ExplainError: the reader's answer is not finite.
    """
    order = rank_pixels(upsample(evidence, gray.shape[0]), seed)
    blank = np.empty_like(gray)
    blank[:] = np.rint(gray.mean(axis=(0, 1)))
    blurred = ndimage.gaussian_filter(gray, BLUR * gray.shape[0], axes=(0, 1))
    found = read(np.concatenate([_steps(gray, blank, order), _steps(blurred, gray, order)])).astype(np.float64)
    if not np.isfinite(found).all():
        raise ExplainError("the network's answer is not a number; its weights are broken: download or train it again")
    return Curves(found[: STEPS + 1], found[STEPS + 1 :])


def rank_pixels(evidence: Map, seed: int) -> Ints:
    """Pixels from the strongest evidence for to the strongest against, int64 (s · s,); ties in random order."""
    chance = np.random.default_rng(seed).random(evidence.size)
    return np.lexsort((chance, -evidence.ravel()))


def area(curve: Floats) -> float:
    """Area under a curve over equal steps of 0..1, by trapezoids."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def _steps(start: Pixels, goal: Pixels, order: Ints) -> Pixels:
    """The film after each step from `start` to `goal`: uint8 (STEPS + 1, s, s), in colour (…, 3)."""
    films = np.repeat(start[None], STEPS + 1, axis=0).reshape(STEPS + 1, len(order), -1)
    for step in range(1, STEPS + 1):
        changed = order[: round(len(order) * step / STEPS)]
        films[step, changed] = goal.reshape(len(order), -1)[changed]
    return films.reshape(STEPS + 1, *start.shape)


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's rho of two maps, at the size of the larger; 0 where one of them is constant."""
    side = max(*one.shape, *other.shape)
    a, b = (one, other) if one.shape == other.shape else (upsample(one, side), upsample(other, side))
    if not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return 0.0
    return float(stats.spearmanr(a.ravel(), b.ravel()).statistic)


def structural_similarity(one: Map, other: Map) -> float:
    """SSIM (Wang et al. 2004, eq. 13) of two maps without sign, each divided by its maximum, on a 56 × 56 grid.

        SSIM = (2 ma mb + c1)(2 sab + c2) / ((ma² + mb² + c1)(sa² + sb² + c2)),   averaged over the map

    Means m, variances s² and covariance sab are those of a 7 × 7 window wherever it lies inside the map. Signed maps
    will not do: two opposite signs would count as similar.
    """
    a, b = (upsample(evidence, GRID).astype(np.float64) for evidence in (one, other))
    a, b = (values / (values.max() or 1.0) for values in (a, b))
    c1, c2 = K1**2, K2**2
    ma, mb = _window_mean(a), _window_mean(b)
    saa, sbb, sab = _window_mean(a * a) - ma * ma, _window_mean(b * b) - mb * mb, _window_mean(a * b) - ma * mb
    ratio = (2 * ma * mb + c1) * (2 * sab + c2) / ((ma**2 + mb**2 + c1) * (saa + sbb + c2))
    return float(ratio.mean())


def _window_mean(values: Floats) -> Floats:
    edge = WINDOW // 2
    return np.asarray(ndimage.uniform_filter(values, WINDOW)[edge:-edge, edge:-edge])
