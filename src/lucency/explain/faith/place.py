"""One map against one mask: does the evidence lie where the disease is?

A map without any evidence for the finding points nowhere: it counts as a miss and as no energy inside, and is not
left out, which would flatter it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

NEAR = 15 / 500
"""Reach of the published pointing game as a share of the film's side: 15 pixels of photographs 500 wide (VOC 2007)."""

SHARES = np.linspace(0.05, 0.95, 19)
"""Thresholds tried for the overlap, as shares of a map's own maximum."""


def drawn(evidence: Map, side: int) -> Map:
    """A map as it is painted: interpolated linearly between the centres of its cells, float32 (side, side)."""
    image = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def pointing(evidence: Map, mask: Mask, reach: float = 0.0) -> float:
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


def energy(evidence: Map, mask: Mask) -> float:
    """Share of the evidence for the finding that lies in the mask. Wang et al. 2020 (Score-CAM), section 4.2.

        sum over the mask of max(M, 0) / sum of max(M, 0)

    Chance is the mask's share of the film: what evidence spread evenly would score.
    """
    hot = np.maximum(evidence, 0, dtype=np.float64)
    return float(hot[mask].sum() / hot.sum()) if hot.any() else 0.0


def precision(evidence: Map, mask: Mask) -> float:
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


def overlaps(evidence: Map, mask: Mask) -> Floats:
    """Intersection over union of mask and map, cut at each of SHARES of the map's maximum: float64 (19,)."""
    top = float(evidence.max())
    if top <= 0:
        return np.zeros(len(SHARES))
    cut = evidence[None] >= (SHARES * top)[:, None, None]
    both = (cut & mask).sum((1, 2))
    return np.asarray(both / (cut | mask).sum((1, 2)), dtype=np.float64)


def overlap_on_others(table: Floats, groups: NDArray[np.int64], seed: int = 0) -> Floats:
    """Each film's overlap at the threshold that is best for the films of other patients.

    Patients are parted in two halves at random; each half is cut at the share that suits the other best.

    Args:
        table: (n, 19), `overlaps` of each film.
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
