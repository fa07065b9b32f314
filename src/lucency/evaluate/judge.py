"""Judge a reader's predictions: every metric with its 95 % interval, by patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.errors import SourceError
from lucency.evaluate.bounds import interval_of
from lucency.evaluate.intervals import Bands, Statistic, bands
from lucency.evaluate.metrics import METRICS, UNDEFINED, Finding, confusion, measure, ratio
from lucency.evaluate.predictions import Floats, Ints, Predictions, Task
from lucency.evaluate.reliability import ece_interval
from lucency.evaluate.selective import interval, mean, parts

ALL = "all"
"""The finding of a figure about every label at once."""
MACRO = "macro"
"""The finding of a plain mean over the labels (one against the rest)."""
FIXED = "every resample gives the same value"
EXACT = "nothing varies: exact binomial bounds over patients"


@dataclass(frozen=True)
class Measure:
    """One figure with its interval; `reason` says why a part of it is None."""

    name: str
    finding: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"not defined: {self.reason}"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True)
class Report:
    """How a reader did on a set of films."""

    task: Task
    label_names: tuple[str, ...]
    threshold: float | None
    """None where the verdict is the most probable of several classes."""
    films: int
    patients: int
    """Different patients; a film without one counts as its own."""
    patients_known: bool
    """Whether every film named its patient. If not, intervals may be too short."""
    films_per_label: tuple[int, ...]
    confusion: dict[str, NDArray[np.int64]]
    """True (row) by called (column); one table for all classes, or one a finding for a multilabel task."""
    measures: tuple[Measure, ...]
    resamples: int
    seed: int

    def measure(self, name: str, finding: str | None = None) -> Measure:
        """The figure `name`, of the first finding that has it unless one is given. Raises KeyError."""
        for one in self.measures:
            if one.name == name and finding in (None, one.finding):
                return one
        raise KeyError(name)


def judge(predictions: Predictions, threshold: float = 0.5, resamples: int = 2000, seed: int = 0) -> Report:
    """Judge `predictions`.

    Args:
        predictions: of at least one film.
        threshold: a finding is called at or above this probability; not used where one of several classes is called.
        resamples: bootstrap draws of patients.
        seed: of the draws: same seed, same report.

    Raises:
        SourceError: there is no film.
    """
    if not len(predictions):
        raise SourceError("expected films to judge, found none")
    groups = predictions.groups()
    return Report(
        task=predictions.task,
        label_names=predictions.label_names,
        threshold=None if predictions.task == "multiclass" else threshold,
        films=len(predictions),
        patients=int(groups.max()) + 1,
        patients_known=predictions.patients_known,
        films_per_label=_films_per_label(predictions),
        confusion=_confusions(predictions, threshold),
        measures=(
            *_measures(predictions, threshold, groups, resamples, seed),
            *_answered(predictions, threshold, groups, resamples, seed),
        ),
        resamples=resamples,
        seed=seed,
    )


def findings(predictions: Predictions, threshold: float = 0.5) -> tuple[Finding, ...]:
    """The yes-or-no questions of a task: the positive label, or each label against the rest.

    Films are ranked by logit, which no calibration and no rounding of probabilities near 1 can change; one of several
    classes is ranked by its log-probability, which unlike a logit compares between films.
    """
    verdicts = predictions.verdicts(threshold)
    if predictions.task == "binary":
        truth, called = predictions.labels == 1, verdicts == 1
        answers = (predictions.logits[:, 0], predictions.probabilities[:, 0])
        return (Finding(predictions.label_names[1], truth, called, *answers),)
    single = predictions.task == "multiclass"
    scores = predictions.logits
    if single:
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    found = []
    for k, name in enumerate(predictions.label_names):
        truth = predictions.labels == k if single else predictions.labels[:, k] == 1
        called = verdicts == k if single else verdicts[:, k] == 1
        found.append(Finding(name, truth, called, scores[:, k], predictions.probabilities[:, k]))
    return tuple(found)


def _measures(
    predictions: Predictions, threshold: float, groups: Ints, resamples: int, seed: int
) -> tuple[Measure, ...]:
    asked = findings(predictions, threshold)
    overall = _overall(predictions, asked)
    result = bands(_statistic(asked, overall), groups, resamples, seed)
    names = [(name, finding) for finding in asked for name in METRICS]
    measures = [_measure(result, i, name, finding, groups) for i, (name, finding) in enumerate(names)]
    measures = [_with_ece_interval(one, asked, groups, resamples, seed) for one in measures]
    if not overall:
        return tuple(measures)
    start = len(names)
    means = [_plain(result, start + i, name, MACRO) for i, name in enumerate(METRICS)]
    whole = [
        _whole(result, start + len(METRICS) + i, name, right, groups) for i, (name, right) in enumerate(overall.items())
    ]
    return (*whole, *means, *measures)


def _answered(
    predictions: Predictions, threshold: float, groups: Ints, resamples: int, seed: int
) -> tuple[Measure, ...]:
    """Figures of the films that the reader answered; none where it answers every film."""
    if predictions.answered is None:
        return ()
    found = parts(predictions, predictions.verdicts(threshold))
    about = predictions.label_names[1] if predictions.task == "binary" else ALL
    one = np.ones((1, len(predictions)))
    values = {name: _number(mean(one, part)[0]) for name, part in found.items()}
    return tuple(
        Measure(name, about, None, reason="no such film is answered")
        if value is None
        else _share(name, about, value, interval(found[name], groups))
        for name, value in values.items()
    )


def _statistic(asked: tuple[Finding, ...], overall: dict[str, Floats]) -> Statistic:
    """Weights (b, n) -> every metric of every finding, then, of several, their means and the overall figures."""

    def statistic(weights: Floats) -> Floats:
        each = [measure(finding, weights) for finding in asked]
        if not overall:
            return each[0]
        total = weights.sum(axis=1)
        whole = [ratio(weights @ per_film, total)[:, None] for per_film in overall.values()]
        return np.concatenate([*each, np.mean(each, axis=0), *whole], axis=1)

    return statistic


def _overall(predictions: Predictions, asked: tuple[Finding, ...]) -> dict[str, Floats]:
    """Figures about all labels at once, as the mean of these numbers per film (n,)."""
    if predictions.task == "binary":
        return {}
    right = np.all([finding.truth == finding.called for finding in asked], axis=0)
    squares = np.sum([(finding.probability - finding.truth) ** 2 for finding in asked], axis=0)
    if predictions.task == "multilabel":
        return {"exact_match": right.astype(np.float64)}
    return {"accuracy": right.astype(np.float64), "brier": squares}


def _measure(result: Bands, i: int, name: str, finding: Finding, groups: Ints) -> Measure:
    value = _number(result.value[i])
    if value is None:
        return Measure(name, finding.name, None, reason=UNDEFINED[name].format(name=finding.name))
    bounds = interval_of(name, finding, groups)
    return _plain(result, i, name, finding.name) if bounds is None else _share(name, finding.name, value, bounds)


def _whole(result: Bands, i: int, name: str, per_film: Floats, groups: Ints) -> Measure:
    """A figure about all labels at once: a share of films, or a mean over them."""
    if np.isin(per_film, (0.0, 1.0)).all():
        return _share(name, ALL, float(result.value[i]), interval((per_film, np.ones_like(per_film)), groups))
    return _plain(result, i, name, ALL)


def _share(name: str, finding: str, value: float, bounds: tuple[float, float]) -> Measure:
    return Measure(name, finding, value, *bounds, reason=EXACT if value in (0.0, 1.0) else "")


def _with_ece_interval(one: Measure, asked: tuple[Finding, ...], groups: Ints, resamples: int, seed: int) -> Measure:
    """The calibration error, which has an interval of its own; any other figure as it is."""
    if one.name != "ece" or one.value is None:
        return one
    finding = next(finding for finding in asked if finding.name == one.finding)
    low, high = ece_interval(finding.truth, finding.probability, groups, resamples, seed)
    return Measure(one.name, one.finding, one.value, low, high)


def _plain(result: Bands, i: int, name: str, finding: str) -> Measure:
    value, low, high = (_number(part[i]) for part in (result.value, result.low, result.high))
    if value is None:
        return Measure(name, finding, None, reason="not defined for every label")
    if name == "ece":
        return Measure(name, finding, value, reason="a mean of calibration errors has no interval here")
    if low is None or result.fixed[i]:
        reason = FIXED if result.fixed[i] else "not defined in enough resamples"
        return Measure(name, finding, value, reason=reason)
    return Measure(name, finding, value, low, high)


def _number(value: np.float64) -> float | None:
    return float(value) if math.isfinite(value) else None


def _films_per_label(predictions: Predictions) -> tuple[int, ...]:
    if predictions.task == "multilabel":
        return tuple(int(total) for total in predictions.labels.sum(axis=0))
    counts = np.bincount(predictions.labels, minlength=len(predictions.label_names))
    return tuple(int(total) for total in counts)


def _confusions(predictions: Predictions, threshold: float) -> dict[str, NDArray[np.int64]]:
    verdicts = predictions.verdicts(threshold)
    if predictions.task != "multilabel":
        return {ALL: confusion(predictions.labels, verdicts, len(predictions.label_names))}
    columns = enumerate(predictions.label_names)
    return {name: confusion(predictions.labels[:, k], verdicts[:, k], 2) for k, name in columns}
