"""What not answering buys: figures of the answered films; error by share answered (El-Yaniv & Wiener 2010).

`answered` is decided for each film by the reader (prediction set, gate). The curve asks another question: if only the
surest films were answered, by the distance of the log-odds from the threshold, how many would be wrong?
"""

from __future__ import annotations

import numpy as np

from lucency.evaluate.bounds import share_interval
from lucency.evaluate.calibration import logit
from lucency.evaluate.intervals import LEVEL, resampled
from lucency.evaluate.metrics import ratio
from lucency.evaluate.predictions import Floats, Ints, Predictions

Part = tuple[Floats, Floats]
"""What is averaged (n,), and over which films, 0 or 1 (n,)."""
TINIEST = 1e-12
"""Probabilities are kept this far from 0 and 1 when films are put in order."""


def right(predictions: Predictions, called: Ints) -> Floats:
    """Whether the label called is the true one, 0 or 1 (n,); all of them for a multilabel task."""
    same = np.asarray(predictions.labels == called)
    return np.asarray(same if same.ndim == 1 else same.all(axis=1), dtype=np.float64)


def parts(predictions: Predictions, called: Ints) -> dict[str, Part]:
    """The figures of the answered films, each a mean: name -> what is averaged, over which films."""
    n = len(predictions)
    answered = np.ones(n) if predictions.answered is None else predictions.answered.astype(np.float64)
    correct = right(predictions, called)
    found = {"answered": (answered, np.ones(n)), "answered_accuracy": (correct, answered)}
    if predictions.task == "binary":
        ill = (predictions.labels == 1).astype(np.float64)
        found["answered_sensitivity"] = (correct, answered * ill)
        found["answered_specificity"] = (correct, answered * (1 - ill))
    return found


def mean(weights: Floats, part: Part) -> Floats:
    """The figure `part` in each row of weights (b, n): (b,)."""
    values, over = part
    return ratio(weights @ (values * over), weights @ over)


def interval(part: Part, groups: Ints) -> tuple[float, float]:
    """Interval of a share, such as `parts` gives; over at least one film."""
    values, over = part
    return share_interval(values > 0, over > 0, groups)


def sureness(predictions: Predictions, threshold: float) -> Floats:
    """What orders films, (n,): log-odds from the threshold; of several classes, the highest probability."""
    if predictions.task == "multiclass":
        return np.asarray(predictions.probabilities.max(axis=1))
    odds, middle = (
        logit(np.clip(np.asarray(chance, dtype=np.float64), TINIEST, 1 - TINIEST))
        for chance in (predictions.probabilities, threshold)
    )
    away = np.abs(odds - middle)
    return np.asarray(away.min(axis=1))


def risk_coverage(sure: Floats, correct: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """(share answered, share wrong of the answered), each (n,), the surest film first.

    Args:
        sure: (n,), what films are put in order by.
        correct: (n,), 0 or 1.
        weights: (n,), how often each film counts.
    """
    order = np.argsort(-sure, kind="stable")
    count = (np.ones(len(sure)) if weights is None else weights)[order]
    seen = np.cumsum(count)
    wrong = np.cumsum(count * (1 - correct[order]))
    return seen / seen[-1], wrong / np.maximum(seen, 1)


def band(
    sure: Floats, correct: Floats, groups: Ints, at: Floats, resamples: int = 300, seed: int = 0
) -> tuple[Floats, Floats]:
    """Percentile interval of the share wrong at the shares answered `at`, by resampling patients."""
    draws = resampled(groups, resamples, np.random.default_rng(seed))
    curves = [np.interp(at, *risk_coverage(sure, correct, row)) for rows in draws for row in rows]
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high
