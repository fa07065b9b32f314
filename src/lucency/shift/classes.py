"""Metrics of a reader of several classes on held-out films, plain and re-acquired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lucency.arrays import Floats
from lucency.data.dataset import Dataset
from lucency.evaluate.confidence_intervals import Estimate, bootstrap
from lucency.evaluate.metrics import ece, ranking, ratio
from lucency.evaluate.multiclass import balanced_accuracy
from lucency.evaluate.predictions import Costs, Predictions
from lucency.evaluate.report import findings
from lucency.progress import track
from lucency.shift.conditions import PLAIN, Scores

RESAMPLES = 1000
"""Bootstrap draws of patients."""


@dataclass(frozen=True)
class ClassMetrics:
    """A reader of several classes under one condition, with 95 % intervals by patient."""

    condition: str
    balanced_accuracy: Estimate
    change: Estimate
    """Balanced accuracy less that of the plain films, paired."""
    mean_auroc: Estimate
    """Of one class against the rest."""
    called_otherwise: Estimate
    """Share of films that are not called as when plain."""
    ece: float
    """Mean over the classes."""
    sensitivity: Mapping[str, float]
    """Class → share of its films that are called so."""

    def measures(self) -> dict[str, float]:
        """Name → value, of those by which runs are compared."""
        values = {
            "balanced accuracy": self.balanced_accuracy.value,
            "mean AUROC": self.mean_auroc.value,
            "ECE": self.ece,
            "called otherwise": None if self.condition == PLAIN else self.called_otherwise.value,
        }
        return {f"{name} {self.condition}": value for name, value in values.items() if value is not None}


def class_metrics(
    scores: Mapping[str, Scores], films: Dataset, costs: Costs | None = None, resamples: int = RESAMPLES
) -> tuple[ClassMetrics, ...]:
    """Metrics of every condition.

    Args:
        scores: condition → scores (n, k), PLAIN among them.
        films: n, of k classes.
        costs: of errors, where the card has them: they decide the call.
        resamples: bootstrap draws of patients.
    """
    plain = _predictions(scores[PLAIN], films, costs)
    work = track(scores.items(), "resampling patients", total=len(scores))
    return tuple(_metrics(name, _predictions(one, films, costs), plain, resamples) for name, one in work)


def _predictions(scores: Scores, films: Dataset, costs: Costs | None) -> Predictions:
    return Predictions(
        names=tuple(sample.name for sample in films.samples),
        patients=tuple(sample.patient for sample in films.samples),
        labels=films.label_array(),
        logits=scores.logits,
        probabilities=scores.probabilities,
        label_names=films.labels,
        task="multiclass",
        costs=costs,
    )


def _metrics(name: str, moved: Predictions, plain: Predictions, resamples: int) -> ClassMetrics:
    labels, called, before = moved.labels, moved.called(), plain.called()
    otherwise = (called != before).astype(np.float64)
    each = findings(moved)

    def statistic(weights: Floats) -> Floats:
        right = balanced_accuracy(labels, called, weights)
        area = np.mean([ranking(one.truth, one.score, weights)[0] for one in each], axis=0)
        change = right - balanced_accuracy(labels, before, weights)
        return np.stack([right, change, area, ratio(weights @ otherwise, weights.sum(axis=1))], axis=1)

    found = bootstrap(statistic, moved.groups(), resamples)
    right, change, area, share = (
        Estimate(float(found.value[i])) if found.fixed[i] else found.estimate(i) for i in range(4)
    )
    return ClassMetrics(
        name,
        right,
        change,
        area,
        share,
        ece=float(np.mean([ece(one.truth, one.probability) for one in each])),
        sensitivity={one.name: float(one.called[one.truth].mean()) for one in each},
    )
