"""The metrics, each one function of weighted films.

A metric takes weights (b, n) and gives (b,): row by row, the metric of a set in which film i occurs weights[r, i]
times. All ones is the set itself; whole numbers are a bootstrap resample; a zero leaves a film out. One definition
thus serves the value, its interval and its jackknife. A metric that is not defined (a class is missing) is NaN here
and None with a reason in a report.

Definitions: Sokolova & Lapalme 2009 (counts); Hanley & McNeil 1982 (area under the ROC curve, ties count one half);
Davis & Goadrich 2006 and scikit-learn (average precision, without interpolation); Brier 1950; ECE in reliability.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.reliability import weighted_ece

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One yes-or-no question put to n films."""

    name: str
    truth: Bools
    """(n,), whether the film has it."""
    called: Bools
    """(n,), whether the reader says so at its threshold."""
    score: Floats
    """(n,), what films are ranked by: higher, more likely. A logit, or a probability."""
    probability: Floats
    """(n,), 0 to 1."""


@dataclass(frozen=True)
class Counts:
    """Films by truth and verdict, each (b,)."""

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

METRICS = (*COUNTED, "auroc", "average_precision", "brier", "ece")
"""Every metric of a finding, in the order reports list them."""

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
"""Why a metric has no value, where it has none."""


def measure(finding: Finding, weights: Floats) -> Floats:
    """Every metric of METRICS, float64 (b, 10), for weights (b, n)."""
    counts = count(finding, weights)
    counted = [metric(counts) for metric in COUNTED.values()]
    ranked = ranking(finding.truth, finding.score, weights)
    promised = [brier(finding, weights), weighted_ece(finding.truth, finding.probability, weights)]
    return np.stack([*counted, *ranked, *promised], axis=1)


def count(finding: Finding, weights: Floats) -> Counts:
    """Weighted films by truth and verdict."""
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
    """Sum over thresholds of (recall_k - recall_{k-1}) precision_k; tied films share one threshold.

    NaN where a class is missing.
    """
    return float(ranking(truth, score, np.ones((1, len(truth))))[1][0])


def ranking(truth: Bools, score: NDArray[np.floating], weights: Floats) -> tuple[Floats, Floats]:
    """Area under the ROC curve and average precision, each (b,), from one sorting."""
    order = np.argsort(-score, kind="stable")
    weighted = weights[:, order]
    ill = np.where(truth[order], weighted, 0.0)
    well = weighted - ill
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf))
    if len(starts) < len(score):  # films of the same score are one step of the curve
        ill, well = np.add.reduceat(ill, starts, axis=1), np.add.reduceat(well, starts, axis=1)
    tp, fp = ill.cumsum(axis=1), well.cumsum(axis=1)
    positives, negatives = tp[:, -1], fp[:, -1]
    below = negatives[:, None] - fp + well / 2
    area = ratio(np.einsum("bn,bn->b", ill, below), positives * negatives)
    # Before the first film of a resample both counts are 0, and so is the weight of that step.
    precision = tp / np.maximum(tp + fp, np.finfo(np.float64).tiny)
    # With no film to confuse it with, average precision is 1 for any reader and says nothing: not defined.
    return area, ratio(np.einsum("bn,bn->b", ill, precision), positives * (negatives > 0))


def brier(finding: Finding, weights: Floats) -> Floats:
    """Mean squared distance of the probability from the truth, (b,)."""
    return ratio(weights @ (finding.probability - finding.truth) ** 2, weights.sum(axis=1))


def ratio(top: Floats, bottom: Floats) -> Floats:
    """`top` / `bottom`, NaN where bottom is 0."""
    result: Floats = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
    return result


def roc_curve(truth: Bools, score: Floats) -> tuple[Floats, Floats, Floats]:
    """(false positive rate, true positive rate, threshold), each (k + 1,), from (0, 0) to (1, 1); k distinct scores."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    tp = np.cumsum(truth[order])[last]
    fp = last + 1 - tp
    start = np.zeros(1)
    return (
        np.concatenate([start, ratio(fp.astype(np.float64), np.full(len(fp), (~truth).sum()))]),
        np.concatenate([start, ratio(tp.astype(np.float64), np.full(len(tp), truth.sum()))]),
        np.concatenate([np.array([np.inf]), score[order][last]]),
    )


def confusion(truth: NDArray[np.int64], called: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Films by true class (row) and called class (column), int64 (classes, classes)."""
    return np.bincount(truth * classes + called, minlength=classes * classes).reshape(classes, classes).astype(np.int64)
