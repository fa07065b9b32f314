"""How uneven the classes are, and what a training may do about it: weigh the classes, or show the rare more often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset
from lucency.errors import SourceError, UsageError


def table(films: Dataset) -> str:
    """Write a few lines for people: films, patients and share of each class.

    ```
    class       films  patients   share
    normal          1         1   25.0%
    pneumonia       3         2   75.0%
    ```
    """
    width = max(5, *map(len, films.labels))
    lines = [f"{'class':<{width}}  {'films':>6}  {'patients':>8}  {'share':>6}"]
    for index, (name, count) in enumerate(films.class_counts().items()):
        share = count / len(films) if len(films) else 0.0
        lines.append(f"{name:<{width}}  {count:>6}  {patients(films, index):>8}  {share:>6.1%}")
    if not films.patients_known:
        lines.append("patients unknown: each film without one counts as a patient of its own")
    return "\n".join(lines)


def patients(films: Dataset, label: int) -> int:
    """How many patients have a film of the class with this index; those unknown count one each."""
    groups = films.groups()
    return len(set(groups[shows(films, label)].tolist()))


MAX_FINDING_WEIGHT = 20.0
"""A finding of a few films in thousands would otherwise outweigh all others in the batches that hold one."""


def shows(films: Dataset, label: int) -> NDArray[np.bool_]:
    """Which films are of the class with this index: bool (n,)."""
    labels = films.label_array()
    column = labels[:, label] == 1 if films.task == "multilabel" else labels == label
    return np.asarray(column, dtype=np.bool_)


def class_weights(
    labels: NDArray[np.int64], weights: Literal["balanced"] | Sequence[float] | Mapping[int, float], classes: int
) -> NDArray[np.float64]:
    """The weight of each class in the loss.

        balanced: w_c = n / (k n_c)         King & Zeng 2001, Logistic regression in rare events data, sec. 2.2

    so that each class weighs the same in all and the films weigh 1 on average.

    Args:
        labels: (n,), class of each film.
        weights: "balanced", or one positive weight per class, in the order of the labels.
        classes: k.

    Returns:
        float64 (k,).

    Raises:
        SourceError: balanced weights are asked for and a class has no film.
        UsageError: given weights are too few, too many, not positive or not finite.
    """
    if isinstance(weights, str):
        if weights != "balanced":
            raise UsageError(f"expected class weights 'balanced' or one number per class, received '{weights}'")
        return _balanced(labels, classes)
    given = weights if isinstance(weights, Mapping) else dict(enumerate(weights))
    values = np.array([given.get(label, np.nan) for label in range(classes)], dtype=np.float64)
    if len(given) != classes or not np.isfinite(values).all() or (values <= 0).any():
        raise UsageError(f"expected {classes} class weights, each above 0, received {list(given.values())}")
    return values


def finding_weights(
    labels: NDArray[np.int64], weights: Literal["balanced"] | Sequence[float] | Mapping[int, float], findings: int
) -> NDArray[np.float64]:
    """The weight of each finding, where it is there, in the loss of a multilabel task.

        balanced: w_f = (n - n_f) / n_f

    so that films with a finding weigh as much in all as those without; at most MAX_FINDING_WEIGHT, and at least its
    inverse.

    Args:
        labels: (n, findings) of 0 and 1.
        weights: as `class_weights` takes them.
        findings: how many.

    Returns:
        float64 (findings,).

    Raises:
        UsageError: given weights are too few, too many, not positive or not finite.
    """
    if not isinstance(weights, str):
        return class_weights(labels[:, 0], weights, findings)
    found = labels.sum(axis=0)
    balanced = (len(labels) - found) / np.maximum(found, 1)
    return np.asarray(balanced.clip(1 / MAX_FINDING_WEIGHT, MAX_FINDING_WEIGHT), dtype=np.float64)


def oversampled(labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The films of one epoch when each class is shown as often as the largest one.

    Each film is shown at least once; the rarer classes are gone through again, in an order drawn anew, until they
    are as many.

    Args:
        labels: (n,), class of each film.
        seed: of the training.
        epoch: each epoch draws other repeats, the same on every machine.

    Returns:
        int64 (k · largest,), indices into `labels`, shuffled.

    Raises:
        UsageError: the films have several findings each.
    """
    if labels.ndim != 1:
        raise UsageError("expected one class a film to show the rare more often, received several findings a film")
    rng = np.random.default_rng([seed, epoch])
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    most = max(map(len, classes), default=0)
    shown = [np.concatenate([rng.permutation(own) for _ in range(-(-most // len(own)))])[:most] for own in classes]
    return rng.permutation(np.concatenate(shown)) if shown else np.zeros(0, dtype=np.int64)


def _balanced(labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    counts = np.bincount(labels, minlength=classes)
    if (counts == 0).any():
        raise SourceError(f"expected films of all {classes} classes to balance them, found {counts.tolist()}")
    return len(labels) / (classes * counts)
