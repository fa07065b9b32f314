"""Not answering: conformal prediction sets that decide which films are answered, and what that is worth.

A label y is in the prediction set of a film whose probability of y is at least least[y]. That number is a quantile,
over films of y that were set aside, of the probability of y: split conformal prediction, label by label (Vovk,
Gammerman & Shafer 2005; Papadopoulos et al. 2002). The set is {normal}, {pneumonia}, both (not enough evidence) or
empty (unlike either).

    coverage: of the films of each label, at least this share have it in their set

holds for any network and any distribution, if the new films come from where the fitted ones came from. Films of one
patient are alike, so each patient has weight 1 / (K + 1), shared by its films (Lee, Barber & Willett 2023, hierarchical
conformal prediction), which no conformal library offers. A rising calibration changes no set, so both may be fitted on
the same films.

The risk-coverage curve (El-Yaniv & Wiener 2010) asks another question: if only the most confident films were answered,
by the distance of the log-odds from the threshold, how many calls would be wrong?
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import UsageError
from lucency.evaluate.calibration import logit
from lucency.evaluate.confidence_intervals import LEVEL, Interval, proportion_interval, resample
from lucency.evaluate.metrics import ratio
from lucency.evaluate.predictions import PerFinding, Predictions

Part = tuple[Floats, Floats]
"""A figure that is a mean: the values (n,), and the films it is over, 0 or 1 (n,)."""
CLIP = 1e-12
"""Probabilities keep this distance from 0 and 1 when films are sorted."""


def fit_conformal(chances: NDArray[np.floating], labels: Ints, groups: Ints, coverage: float) -> tuple[float, ...]:
    """The least probability of each label with which it is in a film's set.

    Args:
        chances: (n, k), the probability of each label, of films that the network was not trained on.
        labels: (n,), the true label.
        groups: (n,), films with the same number show the same patient.
        coverage: the share of the films of each label that should have it in their set.

    Returns:
        k numbers. Of a label of too few patients (`too_rare`) it is 0, so that the label is in every set; among three
        labels or more it is the number of all labels together instead, which ensures coverage on average only
        (the null cluster of Ding et al. 2023, arXiv:2306.09335).

    Raises:
        UsageError: `coverage` is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"expected a coverage between 0 and 1, such as 0.95; received {coverage:g}")
    count = chances.shape[1]
    own = [labels == label for label in range(count)]
    found = [_least(chances[mine, label], groups[mine], coverage) for label, mine in enumerate(own)]
    if count > 2 and (rare := too_rare(labels, groups, count, coverage)):
        together = _least(np.take_along_axis(chances, labels[:, None], axis=1)[:, 0], groups, coverage)
        found = [together if label in rare else least for label, least in enumerate(found)]
    return tuple(found)


def too_rare(labels: Ints, groups: Ints, count: int, coverage: float) -> list[int]:
    """The labels of too few patients for the coverage: fewer than coverage / (1 - coverage)."""
    patients = [len(np.unique(groups[labels == label])) for label in range(count)]
    return [label for label, number in enumerate(patients) if number / (number + 1) < coverage - 1e-12]


def _least(chance: NDArray[np.floating], groups: Ints, coverage: float) -> float:
    """The largest p such that patients of weight `coverage` have at least p, one more patient having nothing."""
    _, patient, films = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1 / ((len(films) + 1) * films[patient])
    order = np.argsort(-chance, kind="stable")
    covered = np.flatnonzero(np.cumsum(weight[order]) >= coverage - 1e-12)
    return float(chance[order][covered[0]]) if len(covered) else 0.0


def label_probabilities(probabilities: NDArray[np.floating], task: str) -> NDArray[np.floating]:
    """The probability of each label (n, k), from outputs (n, f); a binary task outputs that of the positive one."""
    return np.concatenate([1 - probabilities, probabilities], axis=1) if task == "binary" else probabilities


def prediction_sets(probabilities: NDArray[np.floating], task: str, least: tuple[float, ...]) -> Bools:
    """The labels in each film's set: bool (n, k)."""
    return np.asarray(label_probabilities(probabilities, task) >= np.array(least, dtype=probabilities.dtype))


def only_label(sets: Bools, called: Ints) -> Bools:
    """Whether a film's set holds the called label (n,) and no other; elsewhere the verdict is `uncertain`."""
    held = np.take_along_axis(sets, called[:, None], axis=1)[:, 0]
    return np.asarray(held & (sets.sum(axis=1) == 1))


def correct_calls(predictions: Predictions, called: Ints) -> Floats:
    """Whether the called label is the true one, 0 or 1 (n,); all of them for a multilabel task."""
    same = np.asarray(predictions.labels == called)
    return np.asarray(same if same.ndim == 1 else same.all(axis=1), dtype=np.float64)


def answered_parts(predictions: Predictions, called: Ints) -> dict[str, Part]:
    """The figures of the answered films, by name."""
    n = len(predictions)
    answered = np.ones(n) if predictions.answered is None else predictions.answered.astype(np.float64)
    correct = correct_calls(predictions, called)
    found = {"answered": (answered, np.ones(n)), "answered_accuracy": (correct, answered)}
    if predictions.task == "binary":
        positive = (predictions.labels == 1).astype(np.float64)
        found["answered_sensitivity"] = (correct, answered * positive)
        found["answered_specificity"] = (correct, answered * (1 - positive))
    return found


def part_mean(weights: Floats, part: Part) -> Floats:
    """The figure `part` for each row of weights (b, n): (b,)."""
    values, among = part
    return ratio(weights @ (values * among), weights @ among)


def part_interval(part: Part, groups: Ints) -> Interval:
    """Interval of a `part` of zeros and ones over at least one film."""
    values, among = part
    return proportion_interval(values > 0, among > 0, groups)


def confidence(predictions: Predictions, threshold: PerFinding) -> Floats:
    """What sorts films, (n,): log-odds from the threshold; of several classes, the highest probability."""
    if predictions.task == "multiclass":
        return np.asarray(predictions.probabilities.max(axis=1))
    odds, middle = (
        logit(np.clip(np.asarray(chance, dtype=np.float64), CLIP, 1 - CLIP))
        for chance in (predictions.probabilities, threshold)
    )
    return np.asarray(np.abs(odds - middle).min(axis=1))


def risk_coverage(confident: Floats, correct: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """(share answered, share wrong of the answered), each (n,), the most confident film first.

    Args:
        confident: (n,), what films are sorted by.
        correct: (n,), 0 or 1.
        weights: (n,), how often each film counts.
    """
    order = np.argsort(-confident, kind="stable")
    count = (np.ones(len(confident)) if weights is None else weights)[order]
    answered = np.cumsum(count)
    wrong = np.cumsum(count * (1 - correct[order]))
    return answered / answered[-1], wrong / np.maximum(answered, 1)


def augrc(confident: Floats, correct: Floats, weights: Floats) -> Floats:
    """Area under the generalised risk–coverage curve, (b,): lower is better. Traub et al. 2024, arXiv:2407.01032.

        AUGRC = ∫ P(wrong and among the c most confident) dc,  c from 0 to 1

    Half the share of wrong calls for a random order; the chance that a film is answered wrongly where the share that
    is answered is drawn at random.

    Args:
        confident, correct: (n,), as for `risk_coverage`.
        weights: (b, n).
    """
    order = np.argsort(-confident, kind="stable")
    share = weights[:, order] / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    wrong = np.cumsum(share * (1 - correct[order]), axis=1)
    before = wrong - share * (1 - correct[order])
    return np.asarray((share * (wrong + before) / 2).sum(axis=1))


def risk_interval(
    confident: Floats, correct: Floats, groups: Ints, at: Floats, resamples: int = 300, seed: int = 0
) -> tuple[Floats, Floats]:
    """Percentile interval of the share wrong at the shares answered `at`, by resampling patients."""
    draws = resample(groups, resamples, np.random.default_rng(seed))
    curves = [np.interp(at, *risk_coverage(confident, correct, row)) for rows in draws for row in rows]
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high
