"""Shortcuts: how well the label is predicted by how a film was acquired and stored, without the lungs.

A small boosted ensemble (the relation need not be monotone) is trained on each property alone and cross-validated by
patient. What predicts the label here, a network can learn instead of the lungs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from lucency.arrays import Floats, Ints
from lucency.audit.measurements import Measurements
from lucency.data.dataset import Dataset
from lucency.data.splits import stratified_group_kfold
from lucency.errors import SourceError
from lucency.evaluate.metrics import auroc, auroc_influence

Folds = list[tuple[Ints, Ints]]
"""(training indices, held-out indices) of each fold."""

PROPERTIES: dict[str, tuple[Callable[[Measurements], NDArray[np.floating]], bool]] = {
    "width": (lambda m: m.rows["width"], False),
    "height": (lambda m: m.rows["height"], False),
    "size": (lambda m: m.rows["width"].astype(np.float64) * m.rows["height"], False),
    "aspect": (lambda m: m.rows["width"] / m.rows["height"], False),
    "file size": (lambda m: m.files["bytes"], True),
    "file kind": (lambda m: np.unique(m.files["kind"], return_inverse=True)[1].astype(np.float64), False),
    "JPEG quality": (lambda m: m.files["quality"], False),
    "border darkness": (lambda m: m.rows["border"], False),
    "corner letters": (lambda m: m.rows["letters"], False),
    "mean gray": (lambda m: m.rows["mean"], True),
    "contrast": (lambda m: m.rows["spread"], True),
    "sharpness": (lambda m: m.rows["sharpness"], True),
    "colour": (lambda m: m.files["chroma"], True),
    "left-right balance": (lambda m: m.rows["balance"], True),
}
"""Name -> (values, one or a few per film; whether disease itself may change it, as an opacity brightens a lung)."""
TOGETHER = "all together"
"""All properties that disease cannot change."""

FOLDS = 5
MIN_FILMS = 10
"""Films of each class, in as many patients, below which no shortcut is tested."""
SIGNIFICANCE = 0.01
"""Chance that the audit reports any danger in a set without one."""
CLEAR = 0.65
"""A property that disease may change is a danger only if its AUROC is significantly above this."""
GRADES = ((0.9, "gives the label away"), (0.75, "strong"), (0.6, "moderate"), (0.0, "weak"))
"""AUROC from which a shortcut is called so."""

Verdict = Literal["danger", "watch", "none"]


@dataclass(frozen=True)
class Shortcut:
    """How well one property alone predicts one label."""

    name: str
    label: str
    auroc: float
    """Cross-validated by patient; 0.5 is chance."""
    low: float
    high: float
    """95 % interval, by patient."""
    verdict: Verdict
    """danger: beats chance. watch: beats chance, but disease may explain it. none: does not."""
    may_be_disease: bool

    @property
    def grade(self) -> str:
        """How strong, in words."""
        return next(word for least, word in GRADES if self.auroc >= least)


def find_shortcuts(measured: Measurements) -> tuple[Shortcut, ...]:
    """Test every property against every label; strongest first. Empty if there are too few films or patients."""
    films = measured.films
    try:
        folds = stratified_group_kfold(films, FOLDS)
    except SourceError:
        return ()
    columns = {name: _columns(values(measured)) for name, (values, _) in PROPERTIES.items()}
    columns = {name: values for name, values in columns.items() if _varies(values)}
    independent = [values for name, values in columns.items() if not PROPERTIES[name][1]]
    if len(independent) > 1:
        columns[TOGETHER] = np.hstack(independent)
    groups = films.groups()
    targets = {name: target for name, target in label_columns(films).items() if _enough(groups, target)}
    tests = max(1, len(columns) * len(targets))
    with threadpool_limits(1):  # the ensembles are too small to gain from threads
        found = [
            _test(name, label, values, target, groups, folds, tests)
            for label, target in targets.items()
            for name, values in columns.items()
        ]
    return tuple(sorted(found, key=lambda shortcut: -shortcut.auroc))


def label_columns(films: Dataset) -> dict[str, Ints]:
    """Label → int64 (n,) of 0 and 1; of a binary task the positive label only."""
    labels = films.label_array()
    if films.task == "binary":
        return {films.labels[1]: labels}
    columns = labels if films.task == "multilabel" else np.eye(len(films.labels), dtype=np.int64)[labels]
    return {name: columns[:, index] for index, name in enumerate(films.labels)}


def held_out_scores(values: Floats, target: Ints, folds: Folds) -> Floats:
    """float64 (n,): each film scored by a boosted ensemble that saw no film of its patient."""
    scores = np.zeros(len(target))
    for train, held in folds:
        known = np.isfinite(values[train]).any(axis=0)  # a column without a number has no bins
        if known.any() and len(np.unique(target[train])) == 2:
            model = HistGradientBoostingClassifier(
                max_iter=40, max_leaf_nodes=6, min_samples_leaf=max(3, len(train) // 50), early_stopping=False
            )
            scores[held] = model.fit(values[train][:, known], target[train]).predict_proba(values[held][:, known])[:, 1]
    return scores


def auroc_within_folds(scores: Floats, target: Ints, groups: Ints, folds: Folds) -> tuple[float, float]:
    """Cross-validated AUROC and its standard error, by patient.

    Films are compared within their fold only: scores of different ensembles are not comparable, and pooled scores fall
    below 0.5 for noise. The error is that of Obuchowski 1997 (Biometrics 53:567), which allows films of a patient to be
    dependent, for each fold by itself. A fold's weight is the number of pairs it compares.

    Args:
        scores, target, groups: (n,); higher scores for target 1; patients by number.
        folds: training and held-out indices.

    Returns:
        AUROC and its standard error, NaN where no fold has both classes.
    """
    weights, areas, variances = [], [], []
    for _, held in folds:
        truth = target[held] == 1
        if truth.any() and not truth.all():
            pull = np.sum(auroc_influence(truth, scores[held], groups[held]), axis=0)
            weights.append(float(truth.sum() * (~truth).sum()))
            areas.append(auroc(truth, scores[held]))
            variances.append(float(np.square(pull).sum() * len(pull) / max(len(pull) - 1, 1)))
    if not weights:
        return np.nan, np.nan
    share = np.array(weights) / sum(weights)
    return float(share @ areas), float(np.sqrt(share**2 @ variances))


def _test(name: str, label: str, values: Floats, target: Ints, groups: Ints, folds: Folds, tests: int) -> Shortcut:
    area, error = auroc_within_folds(held_out_scores(values, target, folds), target, groups, folds)
    may_be_disease = name != TOGETHER and PROPERTIES[name][1]
    low, high = area - 1.96 * error, area + 1.96 * error
    if area == 1:  # no pair out of order: the error is 0; 0.95 = 1 - low^n, as for no event among n
        low = 0.05 ** (1 / min(len(np.unique(groups[target == side])) for side in (0, 1)))
    bound = area - float(norm.isf(SIGNIFICANCE / tests)) * error
    verdict: Verdict = "danger" if bound > (CLEAR if may_be_disease else 0.5) else "watch" if bound > 0.5 else "none"
    return Shortcut(name, label, area, max(0.0, low), min(1.0, high), verdict, may_be_disease)


def _columns(values: NDArray[np.floating]) -> Floats:
    return values.reshape(len(values), -1).astype(np.float64)


def _varies(values: Floats) -> bool:
    return any(len(np.unique(np.nan_to_num(column, nan=-1.0))) > 1 for column in values.T)


def _enough(groups: Ints, target: Ints) -> bool:
    return all(len(np.unique(groups[target == side])) >= MIN_FILMS for side in (0, 1))
