"""The shortcut probe: how well a network's features predict how a film was acquired.

A linear probe (Alain & Bengio 2016, arXiv:1610.01644) from the pooled features to each property. The class alone
predicts much of it, and a good network's features predict the class, so class means are subtracted from features and
property first. What remains is what the features carry of acquisition beyond the class.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lucency.data.acquisition_pairs import Squares
from lucency.data.dataset import Dataset
from lucency.data.splits import Indices, stratified_group_kfold
from lucency.evaluate.metrics import auroc
from lucency.models import Classifier
from lucency.models.classifier import fuse_batchnorm
from lucency.preprocess import Preprocess, as_input
from lucency.shift.conditions import BATCH, network_input

Numbers = NDArray[np.float64]

FOLDS = 5
MIN_FILMS = 60
"""Films below which a property is not probed."""
ALPHAS = np.logspace(1, 6, 11)
"""Strengths of the ridge, one chosen within the training folds."""
SERIES = re.compile(r"(?P<second>NORMAL2-)?IM-\d+")
"""The two series of normals in Kermany et al. 2018, each with its own count."""

TRAITS: dict[str, Callable[[Squares], Numbers]] = {
    "sharpness": lambda squares: np.array([one.sharpness for one in squares.acquisitions]),
    "noise": lambda squares: np.array([one.noise for one in squares.acquisitions]),
    "tone": lambda squares: np.array([one.tone[len(one.tone) // 2] for one in squares.acquisitions]),
    "border": lambda squares: np.array([float(sum(one.border)) for one in squares.acquisitions]),
    "letters": lambda squares: np.array([float((one.marks > 0).sum()) for one in squares.acquisitions]),
    "aspect": lambda squares: squares.known,
    "series": lambda squares: series(squares.films),
}
"""Property -> its value on each film, NaN where not known. `series` is 0 or 1 and scored by AUROC, the others by R²."""


def probe(classifier: Classifier, preprocess: Preprocess, squares: Squares) -> dict[str, float]:
    """How well each property is predicted on held-out patients: R² (0 to 1), AUROC for the series.

    A property that too few films have, or that does not vary, is left out. R² below 0 counts as 0.
    """
    features = pooled(classifier, preprocess, squares)
    found = {}
    with threadpool_limits(1):
        for name, values in TRAITS.items():
            target = values(squares)
            if (score := _probe_one(features, target, squares.films, name == "series")) is not None:
                found[name] = score
    return found


def pooled(classifier: Classifier, preprocess: Preprocess, squares: Squares) -> Numbers:
    """Input of the head, float64 (n, k)."""
    network = fuse_batchnorm(classifier)
    parts = []
    for start in range(0, len(squares), BATCH):
        indices = range(start, min(start + BATCH, len(squares)))
        films = np.stack([network_input(preprocess, squares.pixels[index], squares, index) for index in indices])
        with torch.inference_mode():
            pictures = torch.from_numpy(as_input(films)).permute(0, 3, 1, 2).contiguous()
            parts.append(network.pooled(pictures).numpy())
    return np.concatenate(parts).astype(np.float64)


def series(films: Dataset) -> Numbers:
    """float64 (n,): 1 for the second series of normals, 0 for the first, NaN for all other films."""
    found = [SERIES.match(record.patient or "") for record in films.samples]
    return np.array([np.nan if match is None else float(match["second"] is not None) for match in found])


def _probe_one(features: Numbers, target: Numbers, films: Dataset, by_rank: bool) -> float | None:
    known = np.flatnonzero(np.isfinite(target))
    if len(known) < MIN_FILMS or np.ptp(target[known]) == 0:
        return None
    here = films.subset(known)
    labels = here.label_array()
    x, y = _minus_class_means(features[known], labels), _minus_class_means(target[known][:, None], labels)[:, 0]
    predicted = np.zeros(len(y))
    for train, held in _folds(here, target[known] if by_rank else None):
        ridge = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
        predicted[held] = ridge.fit(x[train], y[train]).predict(x[held])
    if by_rank:
        return auroc(target[known] == 1, predicted)
    return max(0.0, float(1 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum()))


def _folds(films: Dataset, classes: Numbers | None) -> list[tuple[Indices, Indices]]:
    """Folds by patient, stratified by `classes` if given, else by label."""
    if classes is None:
        return stratified_group_kfold(films, FOLDS)
    records = [replace(record, label=int(value)) for record, value in zip(films.samples, classes, strict=True)]
    return stratified_group_kfold(Dataset(("first", "second"), tuple(records), source=films.source), FOLDS)


def _minus_class_means(values: Numbers, labels: NDArray[np.int64]) -> Numbers:
    """Values less the mean of their class."""
    left = values.copy()
    for label in np.unique(labels):
        left[labels == label] -= values[labels == label].mean(axis=0)
    return left
