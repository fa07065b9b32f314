"""Before and after: the same films answered by two readers, each figure with its interval and that of the gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lucency.evaluate.intervals import bands
from lucency.evaluate.judge import findings
from lucency.evaluate.predictions import Floats, Ints, Predictions
from lucency.evaluate.reliability import ece_interval, weighted_ece
from lucency.evaluate.selective import interval, mean, parts, right

SMALLEST = 1e-12
"""A probability counts as at least this in the log loss."""


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "not defined"
        return f"{self.value:.3f}" + (f" ({self.low:.3f} to {self.high:.3f})" if self.low is not None else "")


@dataclass(frozen=True)
class Gain:
    """One figure before and after, and the difference on the same films."""

    name: str
    before: Figure
    after: Figure
    difference: Figure
    """After less before."""


def gains(
    before: tuple[Predictions, Ints], after: tuple[Predictions, Ints], resamples: int = 1000, seed: int = 0
) -> tuple[Gain, ...]:
    """Compare two readers' answers for the same films, by resampling patients.

    Args:
        before: predictions, and the label called for each film.
        after: the same films, answered otherwise.
        resamples: bootstrap draws of patients.
        seed: of the draws.
    """
    figures = [_figures(*side) for side in (before, after)]
    names = [name for name in figures[1] if name in figures[0]]
    ones = [(side[name]) for side in figures for name in names]

    def statistic(weights: Floats) -> Floats:
        columns = [mean(weights, part) for part in ones]
        columns += [_ece(weights, side[0]) for side in (before, after)]
        olds = [*columns[: len(names)], columns[-2]]
        news = [*columns[len(names) : 2 * len(names)], columns[-1]]
        return np.stack([*olds, *news, *(new - old for old, new in zip(olds, news, strict=True))], axis=1)

    found = bands(statistic, before[0].groups(), resamples, seed)
    each = [_figure(*row) for row in zip(found.value, found.low, found.high, strict=True)]
    k = len(names) + 1
    groups = before[0].groups()
    for place, part in [*enumerate(ones[: len(names)]), *enumerate(ones[len(names) :], k)]:
        if part[1].any() and np.isin(part[0], (0.0, 1.0)).all():
            each[place] = Figure(each[place].value, *interval(part, groups))
    rows = [Gain(name, each[i], each[k + i], each[2 * k + i]) for i, name in enumerate(names)]
    eces = [
        _ece_figure(side[0], each[place].value, resamples, seed) for side, place in ((before, k - 1), (after, -k - 1))
    ]
    return (*rows, Gain("ece", eces[0], eces[1], each[-1]))


def _figures(predictions: Predictions, called: Ints) -> dict[str, tuple[Floats, Floats]]:
    """Figures that are a mean over films: name -> (what is averaged (n,), over which films (n,))."""
    truth = predictions.labels
    everything = np.ones(len(predictions))
    correct = right(predictions, called)
    asked = findings(predictions)
    losses = [-np.log(np.maximum(np.where(f.truth, f.probability, 1 - f.probability), SMALLEST)) for f in asked]
    squares = [(f.probability - f.truth) ** 2 for f in asked]
    if predictions.task == "multiclass":
        losses = [np.where(f.truth, loss, 0) for f, loss in zip(asked, losses, strict=True)]
    found = {
        "log_loss": (np.sum(losses, axis=0), everything),
        "brier": (np.sum(squares, axis=0), everything),
        "accuracy": (correct, everything),
    }
    if predictions.task == "binary":
        found["sensitivity"] = (correct, (truth == 1).astype(np.float64))
        found["specificity"] = (correct, (truth == 0).astype(np.float64))
    return {**found, **parts(predictions, called)}


def _ece(weights: Floats, predictions: Predictions) -> Floats:
    """Mean over the findings."""
    each = [weighted_ece(f.truth, f.probability, weights) for f in findings(predictions)]
    return np.asarray(np.mean(each, axis=0))


def _ece_figure(predictions: Predictions, value: float | None, resamples: int, seed: int) -> Figure:
    """The calibration error with the interval made for it; none for a mean over several findings."""
    asked = findings(predictions)
    if len(asked) > 1:
        return Figure(value, None, None)
    low, high = ece_interval(asked[0].truth, asked[0].probability, predictions.groups(), resamples, seed)
    return Figure(value, low, high)


def _figure(value: float, low: float, high: float) -> Figure:
    numbers = [float(number) if np.isfinite(number) else None for number in (value, low, high)]
    return Figure(numbers[0], numbers[1] if numbers[2] is not None else None, numbers[2])
