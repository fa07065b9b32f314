"""Fit a calibration to logits and labels.

The three parametric methods minimise the log loss against Platt's targets (Platt 1999, eq. 8): not 1 and 0 but
(N+ + 1) / (N+ + 2) and 1 / (N- + 2), the odds after N films have been seen. With thousands of films that is no
change; with a site's fifty it keeps perfectly separated films from claiming certainty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibration import Calibration, Floats, Method, Parameters, apply, probabilities, softplus
from lucency.evaluate.predictions import Predictions, Task

Ints = NDArray[np.int64]
COLDEST, HOTTEST = 1 / 64, 64.0
"""Bounds of the temperature."""


def fit(method: Method, predictions: Predictions, fitted_on: str = "") -> Calibration:
    """Fit `method` to the logits and labels of `predictions`.

    Args:
        method: none; temperature (any task); platt (binary, multilabel); beta, isotonic (binary).
        predictions: films that the network was not trained on, of every label.
        fitted_on: which films, in words, for the card.

    Raises:
        UsageError: the method is unknown, or does not serve this task.
        SourceError: a finding has films of one kind only.
    """
    if method not in FITS:
        raise UsageError(f"expected a calibration among {', '.join(FITS)}; received '{method}'")
    tasks, fitted = FITS[method]
    if predictions.task not in tasks:
        raise UsageError(
            f"calibration {method} serves {' and '.join(tasks)} tasks, not {predictions.task}; use temperature"
        )
    truth = truths(predictions.labels, predictions.task, predictions.logits.shape[1])
    if method != "none":
        _require_both(predictions, truth)
    return Calibration(method, fitted(predictions.logits, truth, predictions.task), fitted_on)


def truths(labels: Ints, task: Task, findings: int) -> NDArray[np.bool_]:
    """Bool (n, f): whether each film has each finding."""
    if task == "multilabel":
        return np.asarray(labels == 1)
    return np.asarray(labels[:, None] == (1 if task == "binary" else np.arange(findings)))


def log_loss(logits: Floats, truth: NDArray[np.bool_], task: Task) -> float:
    """Mean negative log-likelihood of calibrated logits (n, f), in nats; summed over findings of a multilabel task."""
    if task == "multiclass":
        return float(np.mean(np.logaddexp.reduce(logits, axis=1) - logits[truth]))
    return float(np.mean(np.sum(softplus(np.where(truth, -logits, logits)), axis=1)))


def _none(logits: Floats, truth: NDArray[np.bool_], task: Task) -> Parameters:
    return {}


def _temperature(logits: Floats, truth: NDArray[np.bool_], task: Task) -> Parameters:
    from scipy.optimize import minimize_scalar

    target = _softmax_targets(truth) if task == "multiclass" else _targets(truth)

    def loss(log_temperature: float) -> float:
        z = logits / np.exp(log_temperature)
        spread = np.logaddexp.reduce(z, axis=1) if task == "multiclass" else softplus(z)
        return float(spread.sum() - (target * z).sum()) / len(z)

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return {"temperature": (float(np.exp(best.x)),)}


def _platt(logits: Floats, truth: NDArray[np.bool_], task: Task) -> Parameters:
    lines = [
        _logistic(np.stack([z, np.ones_like(z)], axis=1), t, 1)
        for z, t in zip(logits.T, _targets(truth).T, strict=True)
    ]
    slopes, offsets = zip(*lines, strict=True)
    return {"slope": slopes, "offset": offsets}


def _beta(logits: Floats, truth: NDArray[np.bool_], task: Task) -> Parameters:
    z = logits[:, 0]
    features = np.stack([-softplus(-z), softplus(z), np.ones_like(z)], axis=1)  # ln p, -ln(1 - p), 1
    a, b, c = _logistic(features, _targets(truth)[:, 0], 2)
    return {"a": (a,), "b": (b,), "c": (c,)}


def _isotonic(logits: Floats, truth: NDArray[np.bool_], task: Task) -> Parameters:
    """Pool adjacent violators (Ayer et al. 1955); blocks of all ill or all well films stay short of certainty."""
    from scipy.optimize import isotonic_regression

    z, place, films = np.unique(logits[:, 0], return_inverse=True, return_counts=True)
    share = np.bincount(place, weights=truth[:, 0]) / films
    level = np.clip(isotonic_regression(share, weights=films).x, 1 / (len(truth) + 2), 1 - 1 / (len(truth) + 2))
    inner = np.zeros(len(z), dtype=bool)
    inner[1:-1] = (level[1:-1] == level[:-2]) & (level[1:-1] == level[2:])
    return {"logits": tuple(z[~inner].tolist()), "probabilities": tuple(level[~inner].tolist())}


def _logistic(features: Floats, target: Floats, positive: int) -> tuple[float, ...]:
    """Coefficients of the logistic regression of `target` (n,) on `features` (n, k); the first `positive` are >= 0.

    A falling calibration would turn the ranking round, so a slope that wants below zero stops there.
    """
    from scipy.optimize import minimize

    scale = np.abs(features).max(axis=0) + 1e-12

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        z = features @ (coefficients / scale)
        pull = np.exp(-softplus(-z)) - target
        return float(np.sum(softplus(z) - target * z)), features.T @ pull / scale

    k = features.shape[1]
    bounds = [(0.0, None)] * positive + [(None, None)] * (k - positive)
    start = np.array([1.0] * positive + [0.0] * (k - positive)) * scale
    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9}
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return tuple((best.x / scale).tolist())


def _targets(truth: NDArray[np.bool_]) -> Floats:
    """Platt's targets, float64 (n, f)."""
    ill, well = truth.sum(axis=0), (~truth).sum(axis=0)
    return np.asarray(np.where(truth, (ill + 1) / (ill + 2), 1 / (well + 2)))


def _softmax_targets(truth: NDArray[np.bool_]) -> Floats:
    """The same idea for several classes: one more film of each class has been seen among those of the film's class."""
    films, classes = truth.sum(axis=0), truth.shape[1]
    return np.asarray(np.where(truth, (films + 1) / (films + classes), 1 / (truth @ films + classes)[:, None]))


def _require_both(predictions: Predictions, truth: NDArray[np.bool_]) -> None:
    names = predictions.label_names[-truth.shape[1] :]
    for name, ill in zip(names, truth.sum(axis=0), strict=True):
        if not 0 < ill < len(truth):
            raise SourceError(
                f"calibration: expected films with and without '{name}', found {ill} of {len(truth)} with it"
            )


FITS: dict[str, tuple[tuple[Task, ...], Callable[[Floats, NDArray[np.bool_], Task], Parameters]]] = {
    "none": (("binary", "multiclass", "multilabel"), _none),
    "temperature": (("binary", "multiclass", "multilabel"), _temperature),
    "platt": (("binary", "multilabel"), _platt),
    "beta": (("binary",), _beta),
    "isotonic": (("binary",), _isotonic),
}
"""Method to the tasks it serves and how it is fitted: (logits (n, f), truth (n, f), task) -> parameters."""


def recalibrated(predictions: Predictions, calibration: Calibration) -> Predictions:
    """The same films with probabilities by `calibration` of their logits; who is answered is not known any more."""
    new = probabilities(apply(calibration, predictions.logits), predictions.task)
    return replace(predictions, probabilities=new, answered=None)
