"""The bias-only baseline: a classifier that sees how a film was taken and stored, and no lung.

The films that it gets wrong are those where acquisition points the wrong way; a reader of disease reads them as well as
the others. It only judges; what training may learn from such films is found by `lucency.data.cues`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lucency.audit.facts import Facts
from lucency.audit.shortcuts import PROPERTIES, auroc_within_folds
from lucency.data.cues import FOLDS, called_wrongly, held_out_scores, varying
from lucency.data.donors import Squares
from lucency.data.split import stratified_grouped

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Bias:
    """What acquisition alone tells."""

    auroc: float
    """Cross-validated by patient."""
    films: int
    wrong: frozenset[str]
    """Names of the films that it calls wrongly, where it calls as many films of a fold as have the finding."""


def bias_only(facts: Facts, squares: Squares) -> Bias:
    """Fit the baseline on every fold but one and ask it about that one.

    Args:
        facts: measured by the audit: sizes, files, borders, letters, tone, sharpness.
        squares: the same films; their noise, tone curves and true aspects.

    Raises:
        SourceError: a class has fewer patients than there are folds.
    """
    target = facts.films.label_array()
    folds = stratified_grouped(facts.films, FOLDS)
    with threadpool_limits(1):
        scores = held_out_scores(columns(facts, squares), target, folds)
    area, _ = auroc_within_folds(scores, target, facts.films.groups(), folds)
    return Bias(area, len(target), called_wrongly(facts.films, scores, folds))


def columns(facts: Facts, squares: Squares) -> Numbers:
    """Low-level statistics that vary, float64 (n, columns); NaN where a true aspect is not known."""
    audited = [values(facts).reshape(len(facts), -1).astype(np.float64) for values, _ in PROPERTIES.values()]
    noise = np.array([[one.noise, *one.border] for one in squares.acquisitions])
    tone = np.stack([one.tone for one in squares.acquisitions]).astype(np.float64)
    return varying(np.hstack([*audited, noise, tone, squares.known[:, None]]))
