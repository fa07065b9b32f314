"""Predictions made by hand or drawn, for the tests beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.metrics import Finding
from lucency.evaluate.predictions import Predictions, Task


def binary(
    labels: Sequence[int],
    logits: Sequence[float],
    names: tuple[str, ...] | None = None,
    patients: tuple[str | None, ...] | None = None,
    columns: Mapping[str, tuple[str, ...]] | None = None,
) -> Predictions:
    """One finding; the probability is the sigmoid of the logit; each film its own patient unless given."""
    n = len(labels)
    column = np.array(logits, dtype=np.float64).reshape(n, 1)
    return Predictions(
        names=names or tuple(f"film{i}.png" for i in range(n)),
        patients=patients or tuple(f"patient{i}" for i in range(n)),
        labels=np.array(labels, dtype=np.int64),
        logits=column,
        probabilities=1 / (1 + np.exp(-column)),
        label_names=("NORMAL", "PNEUMONIA"),
        columns=columns or {},
    )


def several(task: Task, films: int, labels: int, seed: int = 0, apart: float = 2.0) -> Predictions:
    """Several labels, drawn; two films a patient."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        truth = rng.integers(labels, size=films)
        logits = rng.normal(size=(films, labels)) + apart * (truth[:, None] == np.arange(labels))
        odds = np.exp(logits)
        probabilities = odds / odds.sum(axis=1, keepdims=True)
    else:
        truth = rng.integers(2, size=(films, labels))
        logits = rng.normal(size=(films, labels)) + apart * (truth - 0.5)
        probabilities = 1 / (1 + np.exp(-logits))
    return Predictions(
        names=tuple(f"film{i}.png" for i in range(films)),
        patients=tuple(f"patient{i // 2}" for i in range(films)),
        labels=truth,
        logits=logits,
        probabilities=probabilities,
        label_names=tuple(f"finding {k}" for k in range(labels)),
        task=task,
        columns={"age": tuple(str(20 + i) for i in range(films))},
    )


FILMS = {
    "one": lambda rng, patients: np.ones(patients, dtype=np.int64),
    "one to several": lambda rng, patients: 1 + rng.poisson(0.8, size=patients),
    "one to five": lambda rng, patients: rng.integers(1, 6, size=patients),
}
"""How many films each patient has."""


def study(
    rng: np.random.Generator, patients: int, apart: float, films: str = "one to several"
) -> tuple[Finding, NDArray[np.int64]]:
    """A study, and each film's patient: films of one patient have like scores (correlation 0.7), half are ill."""
    ill = rng.random(patients) < 0.5
    groups = np.repeat(np.arange(patients), FILMS[films](rng, patients))
    own = rng.normal(size=patients) * np.sqrt(0.7)
    score = apart * ill[groups] + own[groups] + rng.normal(size=len(groups)) * np.sqrt(0.3)
    probability = 1 / (1 + np.exp(apart * (apart / 2 - score)))  # of normal scores, by Bayes
    return Finding("P", ill[groups], probability >= 0.5, score, probability), groups


def drawn(films: int = 200, apart: float = 3.0, seed: int = 0, share: float = 0.5) -> Predictions:
    """One finding, drawn: calibrated normal scores `apart` standard deviations apart; two films a patient."""
    rng = np.random.default_rng(seed)
    ill = (rng.random(films // 2 + 1) < share).astype(np.int64)
    labels = np.repeat(ill, 2)[:films]
    logits = apart * (rng.normal(size=films) + apart * (labels - 0.5)) + np.log(share / (1 - share))
    return binary(labels.tolist(), logits.tolist(), patients=tuple(f"patient{i // 2}" for i in range(films)))
