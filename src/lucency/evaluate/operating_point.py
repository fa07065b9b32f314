"""Thresholds at which a probability becomes a call, chosen on given films."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lucency.arrays import Floats
from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibration import logit
from lucency.evaluate.predictions import PerFinding, Predictions


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, and its figures on the films that chose it, which flatter it."""

    threshold: PerFinding
    """The finding is called at or above this probability."""
    chosen_by: str
    chosen_on: str
    sensitivity: PerFinding
    specificity: PerFinding


@dataclass(frozen=True)
class Candidates:
    """Every threshold that calls the films differently, falling, each array (k + 1,)."""

    thresholds: Floats
    sensitivity: Floats
    specificity: Floats


def by_youden(predictions: Predictions, chosen_on: str = "") -> OperatingPoint:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950)."""
    found = candidates(predictions)
    return _point(found, found.sensitivity + found.specificity, "Youden", chosen_on)


def by_sensitivity(predictions: Predictions, floor: float, chosen_on: str = "") -> OperatingPoint:
    """The threshold with the best specificity of those whose sensitivity is at least `floor`.

    Raises:
        UsageError: `floor` is not above 0 and at most 1.
    """
    if not 0 < floor <= 1:
        raise UsageError(f"expected a sensitivity above 0 and at most 1; received {floor:g}")
    found = candidates(predictions)
    merit = np.where(found.sensitivity >= floor, found.specificity, -1.0)
    return _point(found, merit, f"sensitivity at least {floor:g}", chosen_on)


def by_cost(
    predictions: Predictions, missed: float, alarm: float, prevalence: float | None = None, chosen_on: str = ""
) -> OperatingPoint:
    """The threshold with the least expected cost.

        cost = prevalence (1 - sensitivity) missed + (1 - prevalence) (1 - specificity) alarm

    Args:
        predictions: of films that the network was not trained on.
        missed: cost of a missed film.
        alarm: cost of a false alarm.
        prevalence: share of films with the finding where the reader will be used; by default that of `predictions`.
        chosen_on: the films, in words.

    Raises:
        UsageError: a cost is not above 0, or `prevalence` is not between 0 and 1.
    """
    if not (missed > 0 and alarm > 0):
        raise UsageError(f"expected costs above 0, such as 5:1; received {missed:g}:{alarm:g}")
    positive = float(np.mean(predictions.labels == 1)) if prevalence is None else prevalence
    if not 0 < positive < 1:
        raise UsageError(f"expected a prevalence between 0 and 1; received {positive:g}")
    found = candidates(predictions)
    cost = positive * (1 - found.sensitivity) * missed + (1 - positive) * (1 - found.specificity) * alarm
    rule = f"cost of a miss to a false alarm {missed:g}:{alarm:g}"
    return _point(found, -cost, rule if prevalence is None else f"{rule} at prevalence {prevalence:g}", chosen_on)


def choose_operating_point(rule: str, predictions: Predictions, chosen_on: str = "") -> OperatingPoint:
    """The operating point by a rule: `youden`, `sensitivity=0.95` or `cost=5:1`; of several findings one for each.

    Raises:
        UsageError: the rule is none of these.
        SourceError: films with or without the finding are missing.
    """
    if predictions.task == "multilabel":
        each = [
            choose_operating_point(rule, predictions.finding(index), chosen_on)
            for index in range(len(predictions.label_names))
        ]
        columns = zip(*((one.threshold, one.sensitivity, one.specificity) for one in each), strict=True)
        threshold, sensitivity, specificity = (tuple(column) for column in columns)
        return OperatingPoint(threshold, each[0].chosen_by, chosen_on, sensitivity, specificity)
    name, _, value = rule.partition("=")
    try:
        if name == "youden" and not value:
            return by_youden(predictions, chosen_on)
        if name == "sensitivity":
            return by_sensitivity(predictions, float(value), chosen_on)
        if name == "cost":
            missed, alarm = (float(part) for part in value.split(":"))
            return by_cost(predictions, missed, alarm, chosen_on=chosen_on)
    except ValueError:
        pass
    raise UsageError(f"expected youden, sensitivity=0.95 or cost=5:1; received '{rule}'")


def candidates(predictions: Predictions) -> Candidates:
    """Thresholds midway (in logits) between neighbouring probabilities, from calling few films to calling all.

    Raises:
        UsageError: exactly one of several classes is called.
        SourceError: films with or without the finding are missing.
    """
    if predictions.task != "binary":
        raise UsageError(f"an operating point is chosen for one finding, not for a {predictions.task} task")
    truth, probability = predictions.labels == 1, predictions.probabilities[:, 0]
    if truth.all() or not truth.any():
        name = predictions.label_names[1]
        raise SourceError(
            f"operating point: expected films with and without '{name}', found {truth.sum()} of {len(truth)}"
        )
    order = np.argsort(-probability, kind="stable")
    levels = probability[order]
    last = np.flatnonzero(np.diff(levels, append=-1.0))
    found = np.concatenate([[0], np.cumsum(truth[order])[last]])
    alarms = np.concatenate([[0], last + 1]) - found
    above = max((1 + levels[0]) / 2, np.nextafter(levels[0], 1.0))
    none = [] if levels[0] >= 1 else [above]  # every threshold calls a film of probability 1
    thresholds = np.concatenate([none, _between(levels[last]), [0.0]])
    start = len(found) - len(thresholds)
    return Candidates(thresholds, (found / truth.sum())[start:], (1 - alarms / (~truth).sum())[start:])


def _between(levels: Floats) -> Floats:
    """Midway in logits between falling neighbours; a value that rounds down to the lower one becomes the upper."""
    above, below = levels[:-1], levels[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = 1 / (1 + np.exp(-(logit(above) + logit(below)) / 2))
    middle = np.where((below > 0) & (above < 1), middle, (above + below) / 2)
    return np.where((middle > below) & (middle <= above), middle, above)


def _point(found: Candidates, merit: Floats, chosen_by: str, chosen_on: str) -> OperatingPoint:
    """The best candidate; of equals the one that calls more films, as a miss is worse than an alarm."""
    best = len(merit) - 1 - int(np.argmax(merit[::-1]))
    columns = (found.thresholds, found.sensitivity, found.specificity)
    threshold, sensitivity, specificity = (float(column[best]) for column in columns)
    return OperatingPoint(threshold, chosen_by, chosen_on, sensitivity, specificity)
