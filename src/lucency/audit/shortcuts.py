"""How well the label is told from how a film was taken and stored, without looking at the lungs.

Each property alone is given to a small boosted ensemble (the relation need not be monotone) and judged by
cross-validation grouped by patient. What it can tell, a network can tell, and will tell before it learns a lung.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from lucency.audit.measurements import Measurements
from lucency.data.acquisition_features import held_out_scores
from lucency.data.dataset import Dataset
from lucency.data.splits import Indices, stratified_group_kfold
from lucency.errors import SourceError

Numbers = NDArray[np.float64]

PROPERTIES: dict[str, tuple[Callable[[Measurements], NDArray[np.floating]], bool]] = {
    "width": (lambda facts: facts.rows["width"], False),
    "height": (lambda facts: facts.rows["height"], False),
    "size": (lambda facts: facts.rows["width"].astype(np.float64) * facts.rows["height"], False),
    "aspect": (lambda facts: facts.rows["width"] / facts.rows["height"], False),
    "file size": (lambda facts: facts.files["bytes"], True),
    "file kind": (lambda facts: np.unique(facts.files["kind"], return_inverse=True)[1].astype(np.float64), False),
    "JPEG quality": (lambda facts: facts.files["quality"], False),
    "border darkness": (lambda facts: facts.rows["border"], False),
    "corner letters": (lambda facts: facts.rows["letters"], False),
    "mean gray": (lambda facts: facts.rows["mean"], True),
    "contrast": (lambda facts: facts.rows["spread"], True),
    "sharpness": (lambda facts: facts.rows["sharpness"], True),
    "left-right balance": (lambda facts: facts.rows["balance"], True),
}
"""Name -> (its values, one or a few a film; whether disease itself may change it, as an opacity brightens a lung)."""
TOGETHER = "all together"
"""Those that disease cannot change, at once."""

FOLDS = 5
LEAST = 10
"""Films of each class, in as many patients, below which nothing can be said."""
SURE = 0.01
"""Chance that the audit names a danger, any, in a set without one."""
CLEAR = 0.65
"""What disease itself may change is a danger only when its AUROC is surely above this."""
GRADES = ((0.9, "gives the label away"), (0.75, "strong"), (0.6, "moderate"), (0.0, "weak"))
"""AUROC from which a shortcut is called so."""

Verdict = Literal["danger", "watch", "none"]


@dataclass(frozen=True)
class Shortcut:
    """What one property alone tells of one label."""

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


def shortcuts(facts: Measurements) -> tuple[Shortcut, ...]:
    """Judge every property against every label; strongest first. Empty where there are too few films or patients."""
    try:
        folds = stratified_group_kfold(facts.films, FOLDS)
    except SourceError:
        return ()
    measured = {name: _columns(values(facts)) for name, (values, _) in PROPERTIES.items()}
    varying = {name: values for name, values in measured.items() if _varies(values)}
    taken = [values for name, values in varying.items() if not PROPERTIES[name][1]]
    if len(taken) > 1:
        varying[TOGETHER] = np.hstack(taken)
    targets = {name: target for name, target in label_columns(facts.films).items() if _enough(facts.films, target)}
    groups, tests = facts.films.groups(), max(1, len(varying) * len(targets))
    with threadpool_limits(1):  # the ensembles are small: threads would wait for each other longer than they work
        found = [
            _judge(name, label, values, target, groups, folds, tests)
            for label, target in targets.items()
            for name, values in varying.items()
        ]
    return tuple(sorted(found, key=lambda shortcut: -shortcut.auroc))


def label_columns(films: Dataset) -> dict[str, NDArray[np.int64]]:
    """Label to int64 (n,) of 0 and 1; of a binary task the positive label only."""
    labels = films.label_array()
    if films.task == "binary":
        return {films.labels[1]: labels}
    columns = labels if films.task == "multilabel" else np.eye(len(films.labels), dtype=np.int64)[labels]
    return {name: columns[:, index] for index, name in enumerate(films.labels)}


def auroc_within_folds(
    scores: Numbers, target: NDArray[np.int64], groups: Indices, folds: list[tuple[Indices, Indices]]
) -> tuple[float, float]:
    """Cross-validated AUROC and its standard error, by patient.

    Films are compared within their fold only, since scores of different ensembles do not compare; pooled scores
    would fall below 0.5 for noise. The error is Obuchowski 1997 (Biometrics 53:567), which lets films of a patient
    depend on each other, each fold by itself; folds weigh as many pairs as they have.

    Args:
        scores, target, groups: (n,); higher scores for target 1; patients by number.
        folds: (training indices, held-out indices).

    Returns:
        AUROC, NaN where no fold has both classes; standard error.
    """
    parts = [_fold_auroc(scores[held], target[held], groups[held]) for _, held in folds]
    weights = np.array([pairs for _, _, pairs in parts], dtype=np.float64)
    if not weights.sum():
        return np.nan, np.nan
    weights /= weights.sum()
    area = sum(weight * part[0] for weight, part in zip(weights, parts, strict=True))
    variance = sum(weight**2 * part[1] for weight, part in zip(weights, parts, strict=True))
    return float(area), float(np.sqrt(variance))


def _fold_auroc(scores: Numbers, target: NDArray[np.int64], groups: Indices) -> tuple[float, float, int]:
    """AUROC, its variance by patient, and the number of pairs compared."""
    ill, well = scores[target == 1], scores[target == 0]
    if not len(ill) or not len(well):
        return 0.0, 0.0, 0
    of_ill, of_well = _placements(ill, well), 1 - _placements(well, ill)
    area = float(of_ill.mean())
    _, patient = np.unique(groups, return_inverse=True)
    people = int(patient.max()) + 1
    excess = np.zeros(people)
    np.add.at(excess, patient[target == 1], (of_ill - area) / len(ill))
    np.add.at(excess, patient[target == 0], (of_well - area) / len(well))
    return area, float(np.square(excess).sum() * people / max(people - 1, 1)), len(ill) * len(well)


def _placements(scores: Numbers, others: Numbers) -> Numbers:
    """Share of `others` below each score, equal ones counting half."""
    ranked = np.sort(others)
    below = np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")
    return np.asarray(below / (2 * len(others)))


def _judge(
    name: str,
    label: str,
    values: Numbers,
    target: NDArray[np.int64],
    groups: Indices,
    folds: list[tuple[Indices, Indices]],
    tests: int,
) -> Shortcut:
    area, error = auroc_within_folds(held_out_scores(values, target, folds), target, groups, folds)
    may_be_disease = name != TOGETHER and PROPERTIES[name][1]
    low, high = area - 1.96 * error, area + 1.96 * error
    if area == 1:  # no pair out of order says nothing of its spread: 0.95 = 1 - low^n, as for no event among n
        low = 0.05 ** (1 / min(len(np.unique(groups[target == side])) for side in (0, 1)))
    surely = area - float(norm.isf(SURE / tests)) * error
    verdict: Verdict = "danger" if surely > (CLEAR if may_be_disease else 0.5) else "watch" if surely > 0.5 else "none"
    return Shortcut(name, label, area, max(0.0, low), min(1.0, high), verdict, may_be_disease)


def _columns(values: NDArray[np.floating]) -> Numbers:
    return values.reshape(len(values), -1).astype(np.float64)


def _varies(values: Numbers) -> bool:
    return any(len(np.unique(np.nan_to_num(column, nan=-1.0))) > 1 for column in values.T)


def _enough(films: Dataset, target: NDArray[np.int64]) -> bool:
    groups = films.groups()
    return all(len(np.unique(groups[target == side])) >= LEAST for side in (0, 1))
