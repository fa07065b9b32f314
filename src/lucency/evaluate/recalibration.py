"""Fit calibration, threshold and abstention to a site's films, and measure the gain by cross-validation by patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lucency.arrays import Floats, Ints
from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibration import (
    Calibration,
    Method,
    apply,
    fit_calibration,
    log_loss,
    one_vs_rest,
    probabilities,
    recalibrated,
)
from lucency.evaluate.confidence_intervals import Estimate, bootstrap, mean_ece_interval
from lucency.evaluate.metrics import ratio, weighted_ece
from lucency.evaluate.operating_point import OperatingPoint, choose_operating_point
from lucency.evaluate.predictions import Costs, PerFinding, Predictions, Task, class_weights, costs_paid, refers
from lucency.evaluate.report import findings
from lucency.evaluate.selective_prediction import (
    Part,
    answered_parts,
    correct_calls,
    fit_conformal,
    label_probabilities,
    only_label,
    part_interval,
    part_mean,
    prediction_sets,
)

DEFAULT = OperatingPoint(0.5, "default", "", float("nan"), float("nan"))
CHOICES: dict[Task, tuple[Method, ...]] = {
    "binary": ("temperature", "platt", "beta"),
    "multiclass": ("temperature", "platt", "dirichlet"),
    "multilabel": ("temperature", "platt"),
}
"""What `auto` chooses among, those with fewest parameters first."""
KEEP = "keep"
"""A method or rule that leaves the bundle's own."""
SMALLEST = 1e-12
"""The least probability in the log loss."""


@dataclass(frozen=True)
class RecalibrationConfig:
    """What to fit."""

    method: Method | Literal["auto"] | None = "platt"
    """None: the probabilities stay."""
    rule: str = "youden"
    """As `choose_operating_point` takes it, a threshold such as `0.5`, or `keep`."""
    coverage: float | None = 0.95
    """Of the conformal sets; None: every film is answered."""
    kept: OperatingPoint = DEFAULT
    """The operating point that `keep` keeps."""
    costs: Costs | None = None
    """Of errors: the class of least expected cost is called."""
    balanced: bool = False
    """Whether each of several classes weighs the same in calibrating: calls then keep the balanced accuracy."""
    kept_logits: tuple[float, ...] = (0.0,)
    """The network's logit there, one for all findings or one each: under another calibration `keep` moves the threshold
    and calls the same films."""


@dataclass(frozen=True)
class Recalibration:
    """What was fitted."""

    calibration: Calibration | None
    point: OperatingPoint
    least: tuple[float, ...]
    """Empty without abstention."""
    costs: Costs | None = None

    def apply(self, predictions: Predictions) -> Predictions:
        """The same films with these probabilities and abstention."""
        new = predictions if self.calibration is None else recalibrated(predictions, self.calibration)
        new = replace(new, costs=self.costs, answered=None)
        stands = np.ones(len(new), dtype=np.bool_)
        if self.least:
            sets = prediction_sets(new.probabilities, new.task, self.least)
            stands &= only_label(sets, new.called(self.point.threshold))
        if self.costs is not None:
            stands &= ~refers(self.costs, new.probabilities)
        return replace(new, answered=stands) if self.least or (self.costs and self.costs.refer) else new


def fit_recalibration(predictions: Predictions, config: RecalibrationConfig, fitted_on: str = "") -> Recalibration:
    """Fit `config` to films that the network was not trained on.

    Raises:
        UsageError: the method, rule or coverage is unknown or out of range, or not for the task.
        SourceError: films with or without the finding are missing.
    """
    method = best_method(predictions, balanced=config.balanced) if config.method == "auto" else config.method
    words = f"{fitted_on}, each class weighing the same" if config.balanced and fitted_on else fitted_on
    calibration = fit_calibration(method, predictions, words, config.balanced) if method else None
    new = recalibrated(predictions, calibration) if calibration else predictions
    point = _point(config, calibration, new, fitted_on)
    least: tuple[float, ...] = ()
    if config.coverage is not None:
        if predictions.task == "multilabel":
            raise UsageError("a prediction set is for a film of one label; leave abstention out with --coverage 0")
        chances = label_probabilities(new.probabilities, new.task)
        least = fit_conformal(chances, new.labels, new.groups(), config.coverage)
    return Recalibration(calibration, point, least, config.costs)


def best_method(predictions: Predictions, folds: int = 5, seed: int = 0, balanced: bool = False) -> Method:
    """The calibration of CHOICES with the lowest log loss on patients that it was not fitted to.

    `balanced`: as `fit_calibration` takes it.

    One with more parameters is taken only where it gains more than a standard error over the folds.

    Raises:
        SourceError: a label has a single patient.
    """
    losses: dict[Method, list[float]] = {method: [] for method in CHOICES[predictions.task]}
    for rest, held in stratified_patient_folds(predictions, folds, seed):
        part, there = predictions.pick(rest), predictions.pick(held)
        truth = one_vs_rest(there.labels, there.task, there.logits.shape[1])
        for method in losses:
            logits = apply(fit_calibration(method, part, balanced=balanced), there.logits)
            weight = class_weights(there) if balanced else None
            losses[method].append(log_loss(logits, truth, there.task, weight))
    best, *others = losses
    for method in others:
        gain = np.subtract(losses[best], losses[method])
        if gain.mean() > gain.std(ddof=1) / len(gain) ** 0.5:
            best = method
    return best


def _point(
    config: RecalibrationConfig, calibration: Calibration | None, new: Predictions, fitted_on: str
) -> OperatingPoint:
    if new.task == "multiclass":
        return config.kept  # the most probable class is called
    if config.rule == KEEP:
        return _measured(_kept(config, calibration, new), new, config.kept.chosen_on)
    try:
        given = float(config.rule)
    except ValueError:
        return choose_operating_point(config.rule, new, fitted_on)
    if not 0 <= given <= 1:
        raise UsageError(f"expected a threshold from 0 to 1, received {config.rule}")
    return _measured(replace(DEFAULT, threshold=given, chosen_by="given"), new, "")


def _measured(point: OperatingPoint, new: Predictions, chosen_on: str) -> OperatingPoint:
    """A point that other films chose, with its figures on these; NaN where no film counts."""
    truth = one_vs_rest(new.labels, new.task, new.logits.shape[1])
    called = new.called(point.threshold).reshape(truth.shape) == 1
    found = ratio((truth & called).sum(axis=0) * 1.0, truth.sum(axis=0) * 1.0)
    cleared = ratio((~truth & ~called).sum(axis=0) * 1.0, (~truth).sum(axis=0) * 1.0)
    return OperatingPoint(
        point.threshold, point.chosen_by, chosen_on, _of_task(found, new.task), _of_task(cleared, new.task)
    )


def _of_task(values: Floats, task: Task) -> PerFinding:
    """The number of the one finding (1,), or those of several (f,)."""
    return float(values[0]) if task == "binary" else tuple(values.tolist())


def _kept(config: RecalibrationConfig, calibration: Calibration | None, new: Predictions) -> OperatingPoint:
    """The operating point at which the same films are called as before."""
    if calibration is None:
        return config.kept
    at = np.broadcast_to(config.kept_logits, (1, new.logits.shape[1]))
    threshold = _of_task(probabilities(apply(calibration, at), new.task)[0], new.task)
    logits = ", ".join(f"{logit:.3g}" for logit in config.kept_logits)
    words = f"kept where the network's logit is {logits}, fixed beforehand"
    return replace(config.kept, threshold=threshold, chosen_by=words)


@dataclass(frozen=True)
class CrossFitted:
    """The films, each with the probability and call of what was fitted without its patient."""

    predictions: Predictions
    called: Ints
    """(n,), the label called at the threshold of the film's own fold."""


def cross_fit(predictions: Predictions, config: RecalibrationConfig, folds: int = 10, seed: int = 0) -> CrossFitted:
    """Answer each film by what is fitted to the other patients.

    Raises:
        SourceError: a label has a single patient.
    """
    found = predictions.probabilities.copy()
    called = predictions.called(config.kept.threshold)
    answered = np.ones(len(predictions), dtype=bool)
    for rest, held in stratified_patient_folds(predictions, folds, seed):
        fitted = fit_recalibration(predictions.pick(rest), config)
        new = fitted.apply(predictions.pick(held))
        found[held], called[held] = new.probabilities, new.called(fitted.point.threshold)
        if new.answered is not None:
            answered[held] = new.answered
    abstains = config.coverage is not None or (config.costs is not None and config.costs.refer)
    some = answered if abstains else None
    return CrossFitted(replace(predictions, probabilities=found, answered=some, costs=config.costs), called)


def stratified_patient_folds(predictions: Predictions, folds: int, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """(rest, held) indices of each fold: patients dealt in turn, label by label, so that folds are alike.

    There are as many folds as asked, or as the rarest label has patients.

    Raises:
        SourceError: a label has a single patient.
    """
    groups = predictions.groups()
    first = np.unique(groups, return_index=True)[1]
    if predictions.task == "multilabel":
        label, rarest, fewest = _rarest_finding(predictions.labels, groups)
    else:
        label = predictions.labels[first]
        numbers, patients = np.unique(label, return_counts=True)
        rarest, fewest = int(numbers[patients.argmin()]), int(patients.min())
    if fewest < 2:
        found = f"found {fewest} of '{predictions.label_names[rarest]}'"
        raise SourceError(f"cross-validation needs films of at least two patients of each label, {found}; add films")
    shuffled = np.random.default_rng(seed).permutation(len(first))
    order = shuffled[np.argsort(label[shuffled], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % min(folds, fewest)
    for number in range(min(folds, fewest)):
        yield np.flatnonzero(fold[groups] != number), np.flatnonzero(fold[groups] == number)


def _rarest_finding(labels: Ints, groups: Ints) -> tuple[Ints, int, int]:
    """The rarest finding of each patient, counted from the rarest of all; that one, and how many patients have it."""
    has = np.zeros((int(groups.max()) + 1, labels.shape[1]), dtype=np.bool_)
    np.logical_or.at(has, groups, labels == 1)
    patients = has.sum(axis=0)
    ordered = has[:, np.argsort(patients, kind="stable")]
    first = np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1])
    return first, int(patients.argmin()), int(patients.min())


@dataclass(frozen=True)
class Gain:
    """One figure before and after, and the difference on the same films."""

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate
    """After less before."""


def recalibration_gain(
    before: tuple[Predictions, Ints],
    after: tuple[Predictions, Ints],
    resamples: int = 1000,
    seed: int = 0,
    balanced: bool = False,
) -> tuple[Gain, ...]:
    """Compare two readers' outputs for the same films, by resampling patients.

    Args:
        before: predictions, and the label called for each film.
        after: the same films with other probabilities or calls.
        resamples: bootstrap draws of patients.
        seed: of the draws.
        balanced: whether each of several classes weighs the same in log loss, Brier score and calibration errors.
    """
    costs = after[0].costs
    each = class_weights(before[0]) if balanced else np.ones(len(before[0]))
    old, new = (_parts(*side, costs, each) for side in (before, after))
    names = [name for name in new if name in old]
    groups, eces = before[0].groups(), _ece_rows(before[0])

    def statistic(weights: Floats) -> Floats:
        olds = [part_mean(weights, old[name]) for name in names] + _eces(weights * each, before[0])
        news = [part_mean(weights, new[name]) for name in names] + _eces(weights * each, after[0])
        return np.stack([*olds, *news, *(b - a for a, b in zip(olds, news, strict=True))], axis=1)

    found, k = bootstrap(statistic, groups, resamples, seed), len(names) + len(eces)
    rows = [
        Gain(
            name,
            _closed_form(old[name], found.estimate(i), groups),
            _closed_form(new[name], found.estimate(k + i), groups),
            found.estimate(2 * k + i),
        )
        for i, name in enumerate(names)
    ]
    for i, (name, chosen) in enumerate(eces.items(), len(names)):
        sides = [
            _ece_estimate(side[0], chosen, found.estimate(at).value, resamples, seed, each)
            for side, at in ((before, i), (after, k + i))
        ]
        rows.append(Gain(name, sides[0], sides[1], found.estimate(2 * k + i)))
    return tuple(rows)


def _closed_form(part: Part, estimate: Estimate, groups: Ints) -> Estimate:
    """A share of films with its closed interval; any other mean as it is."""
    if part[1].any() and all(np.isin(side, (0.0, 1.0)).all() for side in part):
        return Estimate(estimate.value, *part_interval(part, groups))
    return estimate


def _parts(predictions: Predictions, called: Ints, costs: Costs | None, each: Floats) -> dict[str, Part]:
    """Figures that are a mean over films, by name; `costs` are those of both sides, `each` (n,) weighs the losses."""
    everything = np.ones(len(predictions))
    correct = correct_calls(predictions, called)
    several = findings(predictions)
    losses = [-np.log(np.maximum(np.where(f.truth, f.probability, 1 - f.probability), SMALLEST)) for f in several]
    if predictions.task == "multiclass":
        losses = [np.where(f.truth, loss, 0) for f, loss in zip(several, losses, strict=True)]
    found: dict[str, Part] = {
        "log_loss": (np.sum(losses, axis=0), each),
        "brier": (np.sum([(f.probability - f.truth) ** 2 for f in several], axis=0), each),
        "exact_match" if predictions.task == "multilabel" else "accuracy": (correct, everything),
    }
    if predictions.task == "multilabel":
        for index, f in enumerate(several):
            found[f"sensitivity of {f.name}"] = ((called[:, index] == 1).astype(np.float64), f.truth.astype(np.float64))
            found[f"specificity of {f.name}"] = (
                (called[:, index] == 0).astype(np.float64),
                (~f.truth).astype(np.float64),
            )
        return found
    if predictions.task == "multiclass":
        found["balanced_accuracy"] = (correct, class_weights(predictions))
    if costs is not None:
        found["mean_cost"] = (costs_paid(costs, predictions.labels, called, predictions.answered), everything)
    if predictions.task == "binary":
        found["sensitivity"] = (correct, (predictions.labels == 1).astype(np.float64))
        found["specificity"] = (correct, (predictions.labels == 0).astype(np.float64))
    return {**found, **answered_parts(predictions, called)}


def _ece_rows(predictions: Predictions) -> dict[str, slice]:
    """`ece`, the mean over the findings; of several also `ece of LABEL`, each its own."""
    names = predictions.label_names[-predictions.logits.shape[1] :]
    several = {f"ece of {name}": slice(i, i + 1) for i, name in enumerate(names)}
    return {"ece": slice(None), **(several if len(names) > 1 else {})}


def _eces(weights: Floats, predictions: Predictions) -> list[Floats]:
    each = np.stack([weighted_ece(f.truth, f.probability, weights) for f in findings(predictions)])
    return [each[chosen].mean(axis=0) for chosen in _ece_rows(predictions).values()]


def _ece_estimate(
    predictions: Predictions, chosen: slice, value: float | None, resamples: int, seed: int, each: Floats
) -> Estimate:
    """A calibration error with its own interval; `each` (n,) weighs the films."""
    several = [(finding.truth, finding.probability) for finding in findings(predictions)[chosen]]
    return Estimate(value, *mean_ece_interval(several, predictions.groups(), resamples, seed, each))
