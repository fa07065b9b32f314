"""Figures about several classes at once, each a function of weighted films, as in `metrics`: weights (b, n) → (b,)."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from lucency.arrays import Bools, Floats, Ints
from lucency.evaluate.metrics import Finding, ratio
from lucency.evaluate.predictions import PerFinding, Predictions, costs_paid
from lucency.evaluate.selective_prediction import augrc, confidence, correct_calls

GRADED = re.compile(r"((grade|stage|level|score|degree|kl|birads)[ _-]?)?\d+", re.IGNORECASE)
"""Names of ordered classes: 0, 1, 2 or grade 0, grade 1; not class 0, as classes without a name are called."""
Summary = Callable[[Floats], Floats]


def is_ordered(names: tuple[str, ...]) -> bool:
    """Whether classes are grades, in their order, so that calling the next one is a smaller error.

    >>> is_ordered(("0", "1", "2")), is_ordered(("class 0", "class 1", "class 2"))
    (True, False)
    """
    grades = [int(re.sub(r"\D", "", name)) for name in names if GRADED.fullmatch(name.strip())]
    return len(grades) == len(names) > 2 and grades == sorted(set(grades))


def balanced_accuracy(labels: Ints, called: Ints, weights: Floats) -> Floats:
    """Mean over the classes of the share of their films that are called so; NaN where a class has no film.

    Args:
        labels, called: (n,).
        weights: (b, n).
    """
    right = (labels == called).astype(np.float64)
    shares = [ratio(weights @ (right * own), weights @ own) for own in _each(labels)]
    return np.asarray(np.mean(shares, axis=0))


def quadratic_kappa(labels: Ints, called: Ints, weights: Floats) -> Floats:
    """Agreement of grades beyond chance, errors weighed by their square. Cohen 1968, Psychol Bull 70:213.

        kappa = 1 - E (t - c)² / (E t² + E c² - 2 E t · E c)

    Args:
        labels, called: (n,), grades t and c.
        weights: (b, n).
    """
    t, c, total = labels.astype(np.float64), called.astype(np.float64), weights.sum(axis=1)

    def mean(values: Floats) -> Floats:
        return ratio(weights @ values, total)

    return 1 - ratio(mean((t - c) ** 2), mean(t * t) + mean(c * c) - 2 * mean(t) * mean(c))


def summaries(predictions: Predictions, threshold: PerFinding) -> dict[str, Summary]:
    """The figures of a multiclass task beyond those of `metrics`, by name; of other tasks none."""
    if predictions.task != "multiclass":
        return {}
    labels, called = predictions.labels, predictions.called(threshold)
    confident, correct = confidence(predictions, threshold), correct_calls(predictions, called)
    found: dict[str, Summary] = {"balanced_accuracy": lambda weights: balanced_accuracy(labels, called, weights)}
    if is_ordered(predictions.label_names):
        found["quadratic_kappa"] = lambda weights: quadratic_kappa(labels, called, weights)
    if predictions.costs is not None:
        paid = costs_paid(predictions.costs, labels, called, predictions.answered)
        found["mean_cost"] = lambda weights: ratio(weights @ paid, weights.sum(axis=1))
    return {**found, "augrc": lambda weights: augrc(confident, correct, weights)}


def weighted_mean(columns: list[Floats], each: tuple[Finding, ...], weights: Floats) -> Floats:
    """Mean over the labels of metrics (b, m) each, weighed by how many films have the label: (b, m)."""
    films = np.stack([weights @ finding.truth for finding in each])
    shares = (films / np.maximum(films.sum(axis=0), 1e-300))[:, :, None]
    products = np.where(shares > 0, np.stack(columns) * shares, 0.0)
    return np.asarray(products.sum(axis=0))


def top_label(predictions: Predictions, name: str) -> Finding:
    """Whether the called class is right, by its probability; its ECE is that of Guo et al. 2017."""
    right: Bools = predictions.labels == predictions.called()
    highest = predictions.probabilities.max(axis=1)
    return Finding(name, right, np.ones_like(right), highest, highest)


def _each(labels: Ints) -> list[Floats]:
    return [(labels == label).astype(np.float64) for label in range(int(labels.max()) + 1)]
