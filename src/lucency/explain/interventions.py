"""Interventions: does the output depend on the lungs? Films are changed and read again.

Two interventions on films whose lungs are found. The lungs are painted over: a reader that depends on them should
become uncertain. Everything outside the lungs is exchanged with another film's: its output should stay.
Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lucency.arrays import Bools, Floats, Ints, Pixels
from lucency.evaluate.metrics import ranking
from lucency.explain.faithfulness import Estimate, FindLungs, finite_or_none, with_intervals
from lucency.lungs import dilated
from lucency.progress import track

MARGIN = 0.04
"""By how much lungs are dilated, as a share of the film's side."""
EDGE = 0.01
"""Standard deviation of the soft edge between two films, as a share of the side."""
REACH = 0.12
"""Standard deviation of the surroundings that painted lungs take their gray from, as a share of the side."""
BATCH = 32


@dataclass(frozen=True)
class ReadOutputs:
    """A reader's outputs on n films."""

    logits: Floats
    """(n,), of the finding."""
    called: Ints
    """(n,), label called, sure or not."""
    uncertain: Bools
    """(n,), whether the verdict is `uncertain`."""


ReadFilms = Callable[[Pixels], ReadOutputs]
"""Films uint8 (n, s, s) → outputs."""


def paint_over(gray: Pixels, lungs: Bools) -> Pixels:
    """The film without its lungs: they and a margin take the gray of their surroundings."""
    hidden = dilated(lungs, round(MARGIN * len(gray)))
    if hidden.all():
        return np.full_like(gray, round(float(gray.mean())))
    sigma = REACH * len(gray)
    weight = ndimage.gaussian_filter((~hidden).astype(np.float64), sigma)
    around = ndimage.gaussian_filter(np.where(hidden, 0.0, gray), sigma) / np.maximum(weight, 1e-6)
    return np.asarray(np.where(hidden, np.rint(around).clip(0, 255), gray), dtype=np.uint8)


def exchange_outside(gray: Pixels, lungs: Bools, other: Pixels, other_lungs: Bools) -> Pixels:
    """The film's lungs among another film's surroundings.

    The other film is stretched so that its lungs' box lies on this film's; where its lungs would still show beside
    them, this film's own pixels stay, so that no third lung appears.

    Args:
        gray, lungs: this film and its lungs, (s, s), not empty.
        other, other_lungs: the other film and its lungs.
    """
    (top, left, bottom, right), theirs = _box(lungs), _box(other_lungs)
    scale = np.array([(theirs[2] - theirs[0]) / (bottom - top), (theirs[3] - theirs[1]) / (right - left)])
    offset = np.array(theirs[:2]) - scale * (top, left)
    moved = ndimage.affine_transform(other.astype(np.float64), scale, offset, order=1, mode="nearest")
    moved_lungs = ndimage.affine_transform(other_lungs.astype(np.float64), scale, offset, order=1) > 0.5
    kept = dilated(lungs | moved_lungs, round(MARGIN * len(gray)))
    share = np.maximum(ndimage.gaussian_filter(kept.astype(np.float64), EDGE * len(gray)), lungs)
    return np.asarray(np.rint(share * gray + (1 - share) * moved).clip(0, 255), dtype=np.uint8)


def evaluate_causes(
    read: ReadFilms,
    squares: Pixels,
    positive: Bools,
    groups: Ints,
    find_lungs: FindLungs,
    resamples: int,
    seed: int = 0,
) -> list[Estimate]:
    """Read films as they are, with lungs painted over, and with everything outside the lungs exchanged.

    Args:
        read: the reader.
        squares: uint8 (n, s, s).
        positive: (n,), films with the finding.
        groups: (n,), the same number for films of one patient.
        find_lungs: finds the lungs.
        resamples: for the intervals by patient.
        seed: of the assignment of surroundings to films.

    Returns:
        Figures over the films on which lungs are found; none if that is fewer than two.
    """
    masks = [find_lungs(square) for square in track(squares, "finding lungs", len(squares))]
    known = np.flatnonzero([bool(mask.any()) for mask in masks])
    if len(known) < 2:
        return []
    others = known[donors(groups[known], np.random.default_rng(seed))]
    painted = np.stack([paint_over(squares[i], masks[i]) for i in known])
    pairs = zip(known, others, strict=True)
    exchanged = np.stack([exchange_outside(squares[i], masks[i], squares[j], masks[j]) for i, j in pairs])
    before, without, among = (_read(read, films) for films in (squares[known], painted, exchanged))
    return _figures(before, without, among, positive[known], groups[known], resamples)


def _figures(
    before: ReadOutputs, without: ReadOutputs, among: ReadOutputs, positive: Bools, groups: Ints, resamples: int
) -> list[Estimate]:
    moved = np.abs(among.logits - before.logits)
    shares = {
        "uncertain": before.uncertain,
        "painted_uncertain": without.uncertain,
        "exchanged_uncertain": among.uncertain,
        "exchanged_flipped": among.called != before.called,
    }
    columns = np.stack([share.astype(np.float64) for share in shares.values()], axis=1)
    scores = {"auroc": before.logits, "painted_auroc": without.logits, "exchanged_auroc": among.logits}

    def statistic(weights: Floats) -> Floats:
        areas = [ranking(positive, score, weights)[0] for score in scores.values()]
        means = weights @ columns / weights.sum(axis=1, keepdims=True)
        return np.column_stack([*areas, means, weighted_median(moved, weights)])

    found = with_intervals(statistic, np.unique(groups, return_inverse=True)[1], resamples)
    names = (*scores, *shares, "exchanged_logit_moved")
    rows = zip(names, found.value, found.low, found.high, strict=True)
    return [
        Estimate(name, finite_or_none(value), finite_or_none(low), finite_or_none(high), len(groups))
        for name, value, low, high in rows
    ]


def weighted_median(values: Floats, weights: Floats) -> Floats:
    """Median of values (n,) under each row of weights (b, n): the least value with half of the weight at or below."""
    order = np.argsort(values)
    total = np.cumsum(weights[:, order], axis=1)
    return np.asarray(values[order][np.argmax(total >= total[:, -1:] / 2, axis=1)])


def donors(groups: Ints, rng: np.random.Generator) -> Ints:
    """For each film another one, of another patient where there is one."""
    order = rng.permutation(len(groups))
    found = np.empty(len(groups), dtype=np.int64)
    for place, film in enumerate(order):
        others = np.roll(order, -place - 1)
        other_patients = others[groups[others] != groups[film]]
        found[film] = other_patients[0] if len(other_patients) else others[0]
    return found


def _box(mask: Bools) -> tuple[int, int, int, int]:
    """top, left, bottom, right."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _read(read: ReadFilms, films: Pixels) -> ReadOutputs:
    parts = [read(films[start : start + BATCH]) for start in range(0, len(films), BATCH)]
    names = ReadOutputs.__annotations__
    logits, called, uncertain = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return ReadOutputs(logits, called, uncertain)
