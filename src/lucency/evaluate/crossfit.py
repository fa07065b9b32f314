"""What a calibration, a threshold and abstention are worth on films they were not fitted on, by patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibrate import fit, recalibrated
from lucency.evaluate.calibration import Calibration, Method, apply, probabilities
from lucency.evaluate.conformal import alone, fit_least, label_chances, label_sets
from lucency.evaluate.operating import OperatingPoint, choose
from lucency.evaluate.predictions import Predictions, Task

Ints = NDArray[np.int64]
DEFAULT = OperatingPoint(0.5, "default", "", float("nan"), float("nan"))
KEEP = "keep"
"""A method or rule that leaves what is there."""


@dataclass(frozen=True)
class Asked:
    """What is to be fitted."""

    method: Method | None = "platt"
    """None: the probabilities stay."""
    rule: str = "youden"
    """As `operating.choose` takes it, a threshold such as `0.5`, or `keep`."""
    coverage: float | None = 0.95
    """Of the conformal sets; None: every film gets an answer."""
    kept: OperatingPoint = DEFAULT
    """The operating point that `keep` keeps."""
    kept_logit: float = 0.0
    """The network's logit there: under another calibration `keep` moves the threshold and calls the same films."""


@dataclass(frozen=True)
class Fitted:
    """What was fitted."""

    calibration: Calibration | None
    point: OperatingPoint
    least: tuple[float, ...]
    """Empty without abstention."""

    def answers(self, predictions: Predictions) -> Predictions:
        """The same films, with these probabilities and abstention."""
        new = predictions if self.calibration is None else recalibrated(predictions, self.calibration)
        if not self.least:
            return replace(new, answered=None)
        sets = label_sets(new.probabilities, new.task, self.least)
        return replace(new, answered=alone(sets, new.verdicts(self.point.threshold)))


def fit_all(predictions: Predictions, asked: Asked, on: str = "") -> Fitted:
    """Fit what is asked to films that the network was not trained on.

    Raises:
        UsageError: the method, rule or coverage makes no sense, or does not serve the task.
        SourceError: the films are all of one kind.
    """
    calibration = fit(asked.method, predictions, on) if asked.method else None
    new = recalibrated(predictions, calibration) if calibration else predictions
    point = _point(asked, calibration, new, on)
    least: tuple[float, ...] = ()
    if asked.coverage is not None:
        if predictions.task == "multilabel":
            raise UsageError("a prediction set is for a film of one label; leave abstention out with --coverage 0")
        least = fit_least(label_chances(new.probabilities, new.task), new.labels, new.groups(), asked.coverage)
    return Fitted(calibration, point, least)


def _point(asked: Asked, calibration: Calibration | None, new: Predictions, on: str) -> OperatingPoint:
    if asked.rule == KEEP:
        return _measured(_kept(asked, calibration, new.task), new, asked.kept.chosen_on)
    try:
        given = float(asked.rule)
    except ValueError:
        return choose(asked.rule, new, on)
    if not 0 <= given <= 1:
        raise UsageError(f"expected a threshold from 0 to 1, received {asked.rule}")
    return _measured(replace(DEFAULT, threshold=given, chosen_by="given"), new, "")


def _measured(point: OperatingPoint, new: Predictions, chosen_on: str) -> OperatingPoint:
    """A point that these films did not choose, with what it does on them; NaN for several findings."""
    if new.task != "binary":
        return point
    called, ill = new.verdicts(point.threshold) == 1, new.labels == 1
    shares = float(called[ill].mean()), float((~called[~ill]).mean())
    return OperatingPoint(point.threshold, point.chosen_by, chosen_on, *shares)


def _kept(asked: Asked, calibration: Calibration | None, task: Task) -> OperatingPoint:
    """The operating point at which the same films are called as before."""
    if calibration is None or task != "binary":
        return asked.kept
    threshold = float(probabilities(apply(calibration, np.array([[asked.kept_logit]])), task)[0, 0])
    words = f"kept where the network's logit is {asked.kept_logit:.3g}, fixed beforehand"
    return replace(asked.kept, threshold=threshold, chosen_by=words)


@dataclass(frozen=True)
class Crossfitted:
    """The films, each answered by what was fitted without its patient."""

    predictions: Predictions
    called: Ints
    """(n,), the label called at the threshold of the film's own fold."""


def crossfit(predictions: Predictions, asked: Asked, folds: int = 10, seed: int = 0) -> Crossfitted:
    """Answer each film by what is fitted on the other patients.

    Raises:
        SourceError: a label has a single patient.
    """
    found = predictions.probabilities.copy()
    called = predictions.verdicts(asked.kept.threshold)
    answered = np.ones(len(predictions), dtype=bool)
    for rest, held in parted(predictions, folds, seed):
        fitted = fit_all(predictions.pick(rest), asked)
        new = fitted.answers(predictions.pick(held))
        found[held], called[held] = new.probabilities, new.verdicts(fitted.point.threshold)
        if new.answered is not None:
            answered[held] = new.answered
    some = None if asked.coverage is None else answered
    return Crossfitted(replace(predictions, probabilities=found, answered=some), called)


def parted(predictions: Predictions, folds: int, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """(rest, held) indices of each fold: patients dealt in turn, label by label, so that folds are alike.

    There are as many folds as asked, or as the rarest label has patients.

    Raises:
        SourceError: a label has a single patient.
    """
    groups = predictions.groups()
    first = np.unique(groups, return_index=True)[1]
    label = predictions.labels[first] if predictions.labels.ndim == 1 else predictions.labels[first].argmax(axis=1)
    fewest = min(np.bincount(label)[np.unique(label)])
    if fewest < 2:
        raise SourceError("cross-validation needs films of at least two patients of each label; add films")
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % min(folds, int(fewest))
    for number in range(min(folds, int(fewest))):
        yield np.flatnonzero(fold[groups] != number), np.flatnonzero(fold[groups] == number)
