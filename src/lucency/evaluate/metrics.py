"""The metrics of a yes-or-no finding, each a function of weighted films.

A metric takes weights (b, n) and gives (b,): row r is the metric of a set that holds film i weights[r, i] times. All
ones is the set itself, whole numbers are a bootstrap resample, a zero leaves a film out. So one definition serves the
value, its interval and its jackknife, which scikit-learn's functions cannot do for thousands of resamples at once;
the tests hold them equal. An undefined metric (a class is missing) is NaN here, and None with a reason in a report.

Definitions: Sokolova & Lapalme 2009 (counts); Hanley & McNeil 1982 (AUROC, ties count one half); Davis & Goadrich 2006
(average precision, without interpolation); Brier 1950; expected calibration error by Naeini, Cooper & Hauskrecht 2015
in bins of equal width, or of equal count (adaptive; Nguyen & O'Connor 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints

BINS = 15
"""Of the calibration error."""


@dataclass(frozen=True)
class Finding:
    """One yes-or-no question about n films."""

    name: str
    truth: Bools
    """(n,), whether the film has the finding."""
    called: Bools
    """(n,), whether the reader calls it at its threshold."""
    score: Floats
    """(n,), what films are ranked by; a logit or a probability."""
    probability: Floats
    """(n,), 0 to 1."""

    def subset(self, mask: Bools) -> Finding:
        """The films where `mask` (n,) is true."""
        return Finding(self.name, self.truth[mask], self.called[mask], self.score[mask], self.probability[mask])


@dataclass(frozen=True)
class Counts:
    """Films by truth and call, each (b,)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


COUNTED: dict[str, Callable[[Counts], Floats]] = {
    "accuracy": lambda c: ratio(c.tp + c.tn, c.tp + c.tn + c.fp + c.fn),
    "sensitivity": lambda c: ratio(c.tp, c.tp + c.fn),
    "specificity": lambda c: ratio(c.tn, c.tn + c.fp),
    "precision": lambda c: ratio(c.tp, c.tp + c.fp),
    "npv": lambda c: ratio(c.tn, c.tn + c.fn),
    "f1": lambda c: ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn),
}

UNDEFINED: dict[str, str] = {
    "accuracy": "there is no film",
    "sensitivity": "no film has {name}",
    "specificity": "every film has {name}",
    "precision": "no film is called {name}",
    "npv": "every film is called {name}",
    "f1": "no film has {name} or is called it",
    "auroc": "needs films with and without {name}",
    "average_precision": "needs films with and without {name}",
    "brier": "there is no film",
    "ece": "there is no film",
}
"""Every metric of a finding in the order of reports, and the reason where it has no value."""
METRICS = tuple(UNDEFINED)


def compute_metrics(finding: Finding, weights: Floats) -> Floats:
    """Every metric of METRICS, float64 (b, 10), for weights (b, n)."""
    counts = count(finding, weights)
    error = finding.probability - finding.truth
    columns = [
        *(metric(counts) for metric in COUNTED.values()),
        *ranking(finding.truth, finding.score, weights),
        ratio(weights @ error**2, weights.sum(axis=1)),
        weighted_ece(finding.truth, finding.probability, weights),
    ]
    return np.stack(columns, axis=1)


def count(finding: Finding, weights: Floats) -> Counts:
    """Weighted films by truth and call."""
    truth, called = finding.truth, finding.called
    cells = np.stack([truth & called, ~truth & called, truth & ~called, ~truth & ~called], axis=1)
    return Counts(*(weights @ cells.astype(np.float64)).T)


def auroc(truth: Bools, score: NDArray[np.floating]) -> float:
    """Area under the ROC curve: the chance that a film with the finding scores above one without; a tie is half.

        A = sum_i sum_j [s_i > s_j] + 1/2 [s_i = s_j]  /  (films with * films without)

    NaN where a class is missing.
    """
    return float(ranking(truth, score, np.ones((1, len(truth))))[0][0])


def average_precision(truth: Bools, score: NDArray[np.floating]) -> float:
    """Sum over thresholds of (recall_k - recall_{k-1}) precision_k; tied films share one threshold. NaN as `auroc`."""
    return float(ranking(truth, score, np.ones((1, len(truth))))[1][0])


def ranking(truth: Bools, score: NDArray[np.floating], weights: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision, each (b,), from one sort."""
    order = np.argsort(-score, kind="stable")
    weighted = weights[:, order]
    positive = np.where(truth[order], weighted, 0.0)
    negative = weighted - positive
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    if len(starts) < len(score):  # films of the same score are one step of the curve
        positive, negative = (np.add.reduceat(side, starts, axis=1) for side in (positive, negative))
    tp, fp = positive.cumsum(axis=1), negative.cumsum(axis=1)
    positives, negatives = tp[:, -1], fp[:, -1]
    below = negatives[:, None] - fp + negative / 2
    area = ratio(np.einsum("bn,bn->b", positive, below), positives * negatives)
    # Before the first film of a resample both counts are 0, and so is the weight of that step.
    precision = tp / np.maximum(tp + fp, np.finfo(np.float64).tiny)
    # Without negative films average precision is 1 for any reader and says nothing: not defined.
    return area, ratio(np.einsum("bn,bn->b", positive, precision), positives * (negatives > 0))


def auroc_influence(truth: Bools, score: Floats, groups: Ints) -> tuple[Floats, Floats]:
    """How much each patient's films with the finding, and without it, move the AUROC (DeLong et al. 1988).

    Args:
        truth, score, groups: (n,), with films of both kinds; films with the same number show the same patient.

    Returns:
        Two float64 (patients,), each with the sum 0.
    """
    patient = np.unique(groups, return_inverse=True)[1]
    patients = int(patient.max()) + 1
    sides: list[Floats] = []
    for side, scores in ((True, score), (False, -score)):
        here = truth == side
        placement = _placements(scores[here], scores[~here])
        excess = (placement - placement.mean()) / len(placement)
        sides.append(np.asarray(np.bincount(patient[here], weights=excess, minlength=patients), dtype=np.float64))
    return sides[0], sides[1]


def _placements(scores: Floats, others: Floats) -> Floats:
    """Share of `others` below each score; equal ones count half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")
    return np.asarray(below / (2 * len(others)))


def ece(truth: Bools, probability: NDArray[np.floating], bins: int = BINS, adaptive: bool = False) -> float:
    """Expected calibration error.

    ECE = sum_k n_k / n |mean probability of bin k - share with the finding in bin k|
    """
    return float(weighted_ece(truth, probability, np.ones((1, len(truth))), bins, adaptive)[0])


def weighted_ece(
    truth: Bools, probability: NDArray[np.floating], weights: Floats, bins: int = BINS, adaptive: bool = False
) -> Floats:
    """ECE of each row of weights (b, n): (b,). Bins stay those of the unweighted films."""
    error: Floats = np.abs(calibration_gaps(truth, probability, weights, bins, adaptive)).sum(axis=1)
    return error


def calibration_gaps(
    truth: Bools, probability: NDArray[np.floating], weights: Floats, bins: int = BINS, adaptive: bool = False
) -> Floats:
    """Mean of probability minus truth over all films, bin by bin: (b, bins)."""
    place = equal_count_bins(probability, bins) if adaptive else equal_width_bins(probability, bins)
    inside = np.zeros((len(truth), bins))
    inside[np.arange(len(truth)), place] = probability - truth
    total = weights.sum(axis=1, keepdims=True)
    gaps: Floats = weights @ inside / np.where(total > 0, total, np.nan)
    return gaps


def equal_width_bins(probability: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """The bin of each film (n,); bin k holds k / bins <= p < (k + 1) / bins, the last one also p = 1."""
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, np.asarray(probability, dtype=np.float64), side="right")


def equal_count_bins(probability: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """The bin of each film (n,); bins hold equally many films, but films of one probability share a bin."""
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    return np.searchsorted(inner, probability, side="right")


def ratio(top: Floats, bottom: Floats) -> Floats:
    """`top` / `bottom`, NaN where bottom is 0."""
    result: Floats = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return result


def confusion_matrix(truth: Ints, called: Ints, classes: int) -> Ints:
    """Films by true class (row) and called class (column), int64 (classes, classes)."""
    return np.bincount(truth * classes + called, minlength=classes * classes).reshape(classes, classes).astype(np.int64)
