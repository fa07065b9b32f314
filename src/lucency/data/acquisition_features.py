"""Films whose acquisition points to another class: a classifier of acquisition features alone classifies them wrongly.

A network that gives these films more weight in training relies less on acquisition (Nam et al. 2020, arXiv:2007.02561;
Liu et al. 2021, arXiv:2107.09044).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from lucency.data.acquisition_pairs import Squares, require_two_classes, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import Indices, stratified_group_kfold

FOLDS = 5
Numbers = NDArray[np.float64]
Folds = list[tuple[Indices, Indices]]


def misled(films: Dataset) -> frozenset[str]:
    """Names of the films whose acquisition points to the other class.

    Args:
        films: of two classes; all are decoded once.

    Raises:
        UsageError: another task.
        SourceError: no film can be read, or a class has fewer patients than there are folds.
    """
    require_two_classes(films, "a classifier of acquisition")
    squares = squares_of(films)
    folds = stratified_group_kfold(squares.films, FOLDS)
    with threadpool_limits(1):  # more threads would only wait for each other on ensembles this small
        scores = held_out_scores(columns(squares), squares.films.label_array(), folds)
    return called_wrongly(squares.films, scores, folds)


def columns(squares: Squares) -> Numbers:
    """How films were taken, float64 (n, columns): those of aspect (NaN where not known), sharpness, noise, border,
    letters, tone and contrast that vary.
    """
    found = squares.acquisitions
    single = [[one.sharpness, one.noise, *one.border, float((one.marks > 0).mean())] for one in found]
    curves = [np.concatenate([one.tone, one.contrast.ravel()]) for one in found]
    return varying(np.hstack([squares.known[:, None], np.array(single), np.array(curves)]).astype(np.float64))


def varying(values: Numbers) -> Numbers:
    """The columns, float64 (n, some), that hold two different numbers at least."""
    return values[:, [len(np.unique(column[np.isfinite(column)])) > 1 for column in values.T]]


def held_out_scores(values: Numbers, target: NDArray[np.int64], folds: Folds) -> Numbers:
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


def called_wrongly(films: Dataset, scores: Numbers, folds: Folds) -> frozenset[str]:
    """Names of the films that scores (n,) call wrongly, where as many of a fold are called as have the finding."""
    target = films.label_array()
    called = np.zeros(len(target), dtype=np.bool_)
    for _, held in folds:  # scores of different ensembles do not compare
        called[held] = scores[held] > np.quantile(scores[held], 1 - target[held].mean())
    names = (record.name for record in films.samples)
    return frozenset(name for name, miss in zip(names, called != (target == 1), strict=True) if miss)
