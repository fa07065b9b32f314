"""Calibration: from a network's logits to logits whose sigmoid or softmax is the observed frequency.

A calibration is a method and named lists of numbers, stored in a bundle's card, so that any port can apply it:

    none          z
    temperature   z / temperature                                                Guo et al. 2017
    platt         slope z + offset; of several classes vector scaling             Platt 1999; Guo et al. 2017
    beta          a ln p - b ln(1 - p) + c,  p = sigmoid(z)                      Kull, Silva Filho & Flach 2017
    isotonic      logit(y), y on the polyline through (logits, probabilities)    Zadrozny & Elkan 2002
    dirichlet     matrix ln softmax(z) + offset, of several classes              Kull et al. 2019

Lists hold one number for all findings or one per finding; the matrix of k classes holds k · k, row by row. All but
dirichlet rise with z, so a calibration of one finding never changes how films rank.

The parametric methods are fitted by minimising the log loss against Platt's targets (Platt 1999, eq. 8): not 1 and 0
but (N+ + 1) / (N+ + 2) and 1 / (N- + 2), the odds after N films. With thousands of films that changes nothing; with a
site's fifty it keeps perfectly separated films from claiming certainty, which scikit-learn's calibrators do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import BundleError, SourceError, UsageError
from lucency.evaluate.predictions import Predictions, Task, class_weights

STRENGTHS = (1.0, 10.0, 100.0)
"""Films' worth of evidence that a number off the diagonal is 0; cross-validation by patient chooses one."""
FOLDS = 3
ROUNDS = 300
"""Iterations of the optimiser, at most."""


def log_softmax(logits: Floats) -> Floats:
    """Log of the softmax over the last axis, shaped as `logits`."""
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))


def apply_dirichlet(logits: Floats, lists: Mapping[str, Floats]) -> Floats:
    """Logits (n, k) → calibrated logits (n, k), by `matrix` (k · k, row by row) and `offset` (k)."""
    k = logits.shape[-1]
    return np.asarray(log_softmax(logits) @ lists["matrix"].reshape(k, k).T + lists["offset"])


def fit_dirichlet(logits: Floats, truth: Bools, weight: Floats, groups: Ints) -> dict[str, tuple[float, ...]]:
    """Fit matrix and offset by log loss; it corrects what vector scaling cannot: one class that is taken for another.

    Kull et al. 2019, Beyond temperature scaling (arXiv:1910.12656), the linear form, with their off-diagonal and
    intercept regularisation (ODIR); the diagonal and the offset are drawn to those of vector scaling by PULL.

    Args:
        logits: (n, k).
        truth: (n, k), one True a row.
        weight: (n,), of each film in the loss.
        groups: (n,), the same number for films of one patient.
    """
    held_loss = dict.fromkeys(STRENGTHS, 0.0)
    fold = np.random.default_rng(0).permutation(int(groups.max()) + 1)[groups] % FOLDS
    for number in range(FOLDS):
        rest, held = fold != number, fold == number
        if not held.any() or not truth[rest].any(axis=0).all():
            continue
        here = _fit_vector(logits[rest], truth[rest], weight[rest])
        for strength in STRENGTHS:
            found = _fit(logits[rest], _softmax_targets(truth[rest]), weight[rest], here, strength)
            calibrated = log_softmax(apply_dirichlet(logits[held], found))
            held_loss[strength] -= float(weight[held] @ calibrated[truth[held]])
    strength = min(STRENGTHS[::-1], key=held_loss.__getitem__)  # the strongest where nothing tells
    found = _fit(logits, _softmax_targets(truth), weight, _fit_vector(logits, truth, weight), strength)
    return {name: tuple(values.ravel().tolist()) for name, values in found.items()}


def _fit(
    logits: Floats,
    target: Floats,
    weight: Floats,
    start: Mapping[str, tuple[float, ...]],
    strength: float,
) -> dict[str, Floats]:
    from scipy.optimize import minimize

    logs, (n, k) = log_softmax(logits), logits.shape
    first = np.concatenate([np.diag(start["slope"]).ravel(), np.asarray(start["offset"])])
    pulls = np.concatenate([np.where(np.eye(k, dtype=bool), PULL, strength).ravel(), np.full(k, PULL)])

    def loss(numbers: Floats) -> tuple[float, Floats]:
        z = logs @ numbers[: k * k].reshape(k, k).T + numbers[k * k :]
        spread = np.logaddexp.reduce(z, axis=1, keepdims=True)
        error, away = weight[:, None] * (np.exp(z - spread) - target), numbers - first
        gradient = np.concatenate([(error.T @ logs).ravel(), error.sum(axis=0)]) + 2 * pulls * away
        return float(weight @ (spread[:, 0] - (target * z).sum(axis=1)) + pulls @ away**2) / n, gradient / n

    best = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS, "ftol": 1e-11})
    return {"matrix": best.x[: k * k].reshape(k, k), "offset": best.x[k * k :]}


Method = Literal["none", "temperature", "platt", "beta", "isotonic", "dirichlet"]
Parameters = Mapping[str, tuple[float, ...]]
Lists = Mapping[str, Floats]


class Calibrating(Protocol):
    """What `apply` needs: a `Calibration`, or the table of a card."""

    @property
    def method(self) -> str:
        """A row of APPLY."""

    @property
    def parameters(self) -> Parameters:
        """The lists of the method."""


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration."""

    method: Method = "none"
    parameters: Parameters = field(default_factory=dict)
    fitted_on: str = ""
    """The films, in words."""


PARAMETERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "temperature": ("temperature",),
    "platt": ("slope", "offset"),
    "beta": ("a", "b", "c"),
    "isotonic": ("logits", "probabilities"),
    "dirichlet": ("matrix", "offset"),
}
"""The lists of each method."""


def apply(calibration: Calibrating, logits: NDArray[np.floating]) -> Floats:
    """Calibrated logits, float64, shaped as `logits` (n, f).

    Raises:
        BundleError: the method is unknown, or a list is missing or of the wrong length.
    """
    check(calibration, logits.shape[-1])
    lists = {name: np.array(values, dtype=np.float64) for name, values in calibration.parameters.items()}
    return APPLY[calibration.method](np.asarray(logits, dtype=np.float64), lists)


def check(calibration: Calibrating, findings: int) -> None:
    """Refuse a calibration that cannot be applied to `findings` logits a film.

    Raises:
        BundleError: the method is unknown, or a list is missing or of the wrong length.
    """
    method, parameters = calibration.method, calibration.parameters
    if method not in PARAMETERS:
        known = ", ".join(PARAMETERS)
        raise BundleError(f"calibration: expected a method among {known}, found '{method}'; upgrade lucency")
    if missing := [name for name in PARAMETERS[method] if not parameters.get(name)]:
        raise BundleError(f"calibration: {method} needs the numbers {', '.join(missing)}; calibrate again")
    if method == "isotonic":
        if findings != 1 or len(parameters["logits"]) != len(parameters["probabilities"]):
            raise BundleError("calibration: isotonic needs one finding and as many logits as probabilities")
    elif method == "dirichlet":
        if findings < 2 or [len(parameters[name]) for name in PARAMETERS[method]] != [findings**2, findings]:
            raise BundleError("calibration: dirichlet needs k classes, k · k numbers in matrix and k in offset")
    elif wrong := [name for name in PARAMETERS[method] if len(parameters[name]) not in (1, findings)]:
        raise BundleError(f"calibration: expected 1 or {findings} numbers in {', '.join(wrong)}; calibrate again")


def probabilities(logits: NDArray[np.floating], task: str) -> Floats:
    """Sigmoid of each logit (n, f), or the softmax over them for a multiclass task; float64."""
    scores = np.asarray(logits, dtype=np.float64)
    if task == "multiclass":
        shares: Floats = np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
        return shares
    return np.exp(-softplus(-scores))


def softplus(z: Floats) -> Floats:
    """ln(1 + exp z), without overflow."""
    return np.logaddexp(0.0, z)


def logit(p: Floats) -> Floats:
    """ln(p / (1 - p))."""
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


APPLY: dict[str, Callable[[Floats, Lists], Floats]] = {
    "none": lambda z, lists: z,
    "temperature": lambda z, lists: z / lists["temperature"],
    "platt": lambda z, lists: lists["slope"] * z + lists["offset"],
    "beta": lambda z, lists: -lists["a"] * softplus(-z) + lists["b"] * softplus(z) + lists["c"],
    "isotonic": lambda z, lists: logit(np.interp(z, lists["logits"], lists["probabilities"])),
    "dirichlet": apply_dirichlet,
}
"""How each method is applied."""


MIN_TEMPERATURE, MAX_TEMPERATURE = 1 / 64, 64.0
PULL = 1.0
"""Films' worth of evidence that a class's slope and offset are those of the others."""


def fit_calibration(
    method: Method, predictions: Predictions, fitted_on: str = "", balanced: bool = False
) -> Calibration:
    """Fit `method` to the logits and labels of `predictions`.

    Args:
        method: none; temperature, platt (any task); beta, isotonic (binary); dirichlet (multiclass).
        predictions: films that the network was not trained on, of every label.
        fitted_on: the films in words, for the card.
        balanced: whether each class weighs the same, however many films it has: the probabilities are then those of a
            place where all are equally frequent. Multiclass.

    Raises:
        UsageError: the method is unknown, or it or `balanced` is not for this task.
        SourceError: a finding lacks films with it or without it.
    """
    if method not in METHODS:
        raise UsageError(f"expected a calibration among {', '.join(METHODS)}; received '{method}'")
    tasks, fit = METHODS[method]
    if predictions.task not in tasks:
        raise UsageError(
            f"calibration {method} is for {' and '.join(tasks)} tasks, not {predictions.task}; use temperature or platt"
        )
    truth = one_vs_rest(predictions.labels, predictions.task, predictions.logits.shape[1])
    if method != "none":
        _require_both(predictions, truth)
    weight = class_weights(predictions) if balanced else np.ones(len(truth))
    if method == "dirichlet":
        found = fit_dirichlet(predictions.logits, truth, weight, predictions.groups())
        return Calibration(method, found, fitted_on)
    return Calibration(method, fit(predictions.logits, truth, weight, predictions.task), fitted_on)


def one_vs_rest(labels: Ints, task: Task, findings: int) -> Bools:
    """Whether each film has each finding: bool (n, f)."""
    if task == "multilabel":
        return np.asarray(labels == 1)
    return np.asarray(labels[:, None] == (1 if task == "binary" else np.arange(findings)))


def log_loss(logits: Floats, truth: Bools, task: Task, weight: Floats | None = None) -> float:
    """Mean negative log-likelihood of calibrated logits (n, f), in nats; summed over findings of a multilabel task.

    `weight` (n,) is that of each film of a multiclass task.
    """
    if task == "multiclass":
        return float(np.average(np.logaddexp.reduce(logits, axis=1) - logits[truth], weights=weight))
    return float(np.mean(np.sum(softplus(np.where(truth, -logits, logits)), axis=1)))


def _fit_none(logits: Floats, truth: Bools, weight: Floats, task: Task) -> Parameters:
    return {}


def _fit_temperature(logits: Floats, truth: Bools, weight: Floats, task: Task) -> Parameters:
    from scipy.optimize import minimize_scalar

    target = _softmax_targets(truth) if task == "multiclass" else _targets(truth)

    def loss(log_temperature: float) -> float:
        z = logits / np.exp(log_temperature)
        spread = np.logaddexp.reduce(z, axis=1) if task == "multiclass" else softplus(z)
        if task == "multiclass":
            return float(weight @ (spread - (target * z).sum(axis=1))) / len(z)
        return float(spread.sum() - (target * z).sum()) / len(z)

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    return {"temperature": (float(np.exp(best.x)),)}


def _fit_platt(logits: Floats, truth: Bools, weight: Floats, task: Task) -> Parameters:
    if task == "multiclass":
        return _fit_vector(logits, truth, weight)
    lines = [
        _logistic(np.stack([z, np.ones_like(z)], axis=1), t, 1)
        for z, t in zip(logits.T, _targets(truth).T, strict=True)
    ]
    slopes, offsets = zip(*lines, strict=True)
    return {"slope": slopes, "offset": offsets}


def _fit_vector(logits: Floats, truth: Bools, weight: Floats) -> Parameters:
    """Vector scaling (Guo et al. 2017): a slope and an offset for each class before the softmax.

    PULL draws both towards those of a common temperature, so that a class of few films keeps to the others.
    """
    from scipy.optimize import minimize

    target, classes = _softmax_targets(truth), truth.shape[1]
    (temperature,) = _fit_temperature(logits, truth, weight, "multiclass")["temperature"]
    start = np.concatenate([np.full(classes, 1 / temperature), np.zeros(classes)])

    def loss(numbers: Floats) -> tuple[float, Floats]:
        slope, offset = numbers[:classes], numbers[classes:]
        z = slope * logits + offset
        spread = np.logaddexp.reduce(z, axis=1, keepdims=True)
        error = weight[:, None] * (np.exp(z - spread) - target) / len(z)
        away = numbers - start
        gradient = np.concatenate([(error * logits).sum(axis=0), error.sum(axis=0)]) + 2 * PULL * away / len(z)
        apart = weight @ (spread[:, 0] - (target * z).sum(axis=1))
        return float((apart + PULL * away @ away) / len(z)), gradient

    bounds = [(1 / MAX_TEMPERATURE, None)] * classes + [(None, None)] * classes
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 1000, "ftol": 1e-12})
    return {"slope": tuple(best.x[:classes].tolist()), "offset": tuple(best.x[classes:].tolist())}


def _fit_beta(logits: Floats, truth: Bools, weight: Floats, task: Task) -> Parameters:
    z = logits[:, 0]
    features = np.stack([-softplus(-z), softplus(z), np.ones_like(z)], axis=1)  # ln p, -ln(1 - p), 1
    a, b, c = _logistic(features, _targets(truth)[:, 0], 2)
    return {"a": (a,), "b": (b,), "c": (c,)}


def _fit_isotonic(logits: Floats, truth: Bools, weight: Floats, task: Task) -> Parameters:
    """Pool adjacent violators (Ayer et al. 1955), kept short of certainty."""
    from scipy.optimize import isotonic_regression

    z, place, films = np.unique(logits[:, 0], return_inverse=True, return_counts=True)
    share = np.bincount(place, weights=truth[:, 0]) / films
    level = np.clip(isotonic_regression(share, weights=films).x, 1 / (len(truth) + 2), 1 - 1 / (len(truth) + 2))
    inner = np.zeros(len(z), dtype=bool)
    inner[1:-1] = (level[1:-1] == level[:-2]) & (level[1:-1] == level[2:])
    return {"logits": tuple(z[~inner].tolist()), "probabilities": tuple(level[~inner].tolist())}


def _logistic(features: Floats, target: Floats, positive: int) -> tuple[float, ...]:
    """Coefficients of the logistic regression of `target` (n,) on `features` (n, k); the first `positive` are >= 0.

    A falling calibration would reverse the ranking, so a slope stops at zero.
    """
    from scipy.optimize import minimize

    scale = np.abs(features).max(axis=0) + 1e-12

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        z = features @ (coefficients / scale)
        error = np.exp(-softplus(-z)) - target
        return float(np.sum(softplus(z) - target * z)), features.T @ error / scale

    k = features.shape[1]
    bounds = [(0.0, None)] * positive + [(None, None)] * (k - positive)
    start = np.array([1.0] * positive + [0.0] * (k - positive)) * scale
    options = {"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-9}
    best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return tuple((best.x / scale).tolist())


def _targets(truth: Bools) -> Floats:
    """Platt's targets, float64 (n, f)."""
    positive, negative = truth.sum(axis=0), (~truth).sum(axis=0)
    return np.asarray(np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2)))


def _softmax_targets(truth: Bools) -> Floats:
    """Platt's targets for several classes: one more film of each class among those of the film's class."""
    films, classes = truth.sum(axis=0), truth.shape[1]
    return np.asarray(np.where(truth, (films + 1) / (films + classes), 1 / (truth @ films + classes)[:, None]))


def _require_both(predictions: Predictions, truth: Bools) -> None:
    names = predictions.label_names[-truth.shape[1] :]
    for name, positive in zip(names, truth.sum(axis=0), strict=True):
        if not 0 < positive < len(truth):
            raise SourceError(
                f"calibration: expected films with and without '{name}', found {positive} of {len(truth)} with it"
            )


METHODS: dict[str, tuple[tuple[Task, ...], Callable[[Floats, Bools, Floats, Task], Parameters]]] = {
    "none": (("binary", "multiclass", "multilabel"), _fit_none),
    "temperature": (("binary", "multiclass", "multilabel"), _fit_temperature),
    "platt": (("binary", "multiclass", "multilabel"), _fit_platt),
    "beta": (("binary",), _fit_beta),
    "isotonic": (("binary",), _fit_isotonic),
    "dirichlet": (("multiclass",), _fit_none),  # fitted by patient, in fit_calibration
}
"""The tasks of each method, and how it is fitted: (logits (n, f), truth (n, f), weight (n,), task) ->
parameters."""


def recalibrated(predictions: Predictions, calibration: Calibration) -> Predictions:
    """The same films with the probabilities of `calibration`; which ones are answered is then unknown."""
    new = probabilities(apply(calibration, predictions.logits), predictions.task)
    return replace(predictions, probabilities=new, answered=None)
