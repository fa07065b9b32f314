"""The worst errors, each with the reader's map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lucency.arrays import Bools, Floats
from lucency.data import Dataset
from lucency.errors import FilmError
from lucency.evaluate import Predictions
from lucency.evaluate.predictions import PerFinding
from lucency.paint import overlay, shown
from lucency.progress import track
from lucency.reader import Reader
from lucency.report.context import ReportContext

SHOWN = 6
"""Errors of each kind."""
SIZE = 240
"""Pixels along the long side of a picture."""


@dataclass(frozen=True)
class WorstError:
    """A film called wrongly, with its pictures."""

    name: str
    true: str
    called: str
    said: str
    """With which probability it was called so; of several findings, that of each that is called wrongly."""
    film: Image.Image
    map: Image.Image
    referred: bool = False
    """Whether the reader refers the film: its verdict is `uncertain`."""


def paint_worst_errors(
    context: ReportContext, reader_of: Callable[[str], Reader], films: Dataset
) -> dict[str, list[WorstError]]:
    """The worst errors of each kind with their maps; films that can no longer be read are left out."""
    threshold = 0.5 if context.report.threshold is None else context.report.threshold
    chosen = worst(context.predictions, threshold)
    found: dict[str, list[WorstError]] = {kind: [] for kind in chosen}
    samples = {sample.name: sample for sample in films.samples}
    for kind, index in track([(kind, index) for kind, indices in chosen.items() for index in indices], "painting maps"):
        name = context.predictions.names[index]
        try:
            film = samples[name].load()
        except FilmError:
            continue
        reader = reader_of(name)
        reading = reader.read(film)
        painted = overlay(film, reading.map, reader.preprocess, lungs=reader.lung_outline(film))
        found[kind].append(
            WorstError(
                name,
                *_call(context.predictions, threshold, index),
                film=_small(shown(film, reader.preprocess)),
                map=_small(painted),
                referred=bool(_referred(context.predictions)[index]),
            )
        )
    return found


def worst(predictions: Predictions, threshold: PerFinding, each: int = SHOWN) -> dict[str, tuple[int, ...]]:
    """The wrong films with the least probability for the truth, by kind of error; indices into the predictions.

    Films that the reader answers come first; the others are referred to a person anyway.

    Returns:
        For one finding "missed" and "false alarms"; for several labels "called wrongly".
    """
    called, truth = predictions.called(threshold), predictions.labels
    wrong = (called != truth).reshape(len(truth), -1).any(axis=1)
    order = np.lexsort((probability_of_truth(predictions), _referred(predictions)))
    if predictions.task != "binary":
        return {"called wrongly": tuple(int(i) for i in order if wrong[i])[:each]}
    kinds = {"missed": truth == 1, "false alarms": truth == 0}
    return {kind: tuple(int(i) for i in order if wrong[i] and side[i])[:each] for kind, side in kinds.items()}


def probability_of_truth(predictions: Predictions) -> Floats:
    """The probability of the true label (n,); for several findings, the smallest."""
    p = predictions.probabilities
    if predictions.task == "multiclass":
        return np.asarray(p[np.arange(len(p)), predictions.labels])
    truth = predictions.labels.reshape(len(p), -1) == 1
    return np.asarray(np.where(truth, p, 1 - p).min(axis=1))


def _call(predictions: Predictions, threshold: PerFinding, index: int) -> tuple[str, str, str]:
    """True label, called label, and with which probability."""
    true, called = (
        predictions.names_of(labels[[index]])[0] or "none"
        for labels in (predictions.labels, predictions.called(threshold))
    )
    return true, called, _said(predictions, threshold, index, called)


def _said(predictions: Predictions, threshold: PerFinding, index: int, called: str) -> str:
    p = predictions.probabilities[index]
    if predictions.task == "binary":
        return f"with {p[0] if called == predictions.label_names[1] else 1 - p[0]:.3f}"
    if predictions.task == "multiclass":
        return f"with {p[predictions.label_names.index(called)]:.3f}"
    wrong = np.flatnonzero(predictions.called(threshold)[index] != predictions.labels[index])
    at = np.broadcast_to(threshold, p.shape)
    return ", ".join(f"{predictions.label_names[one]} {p[one]:.3f}, called from {at[one]:.3g}" for one in wrong)


def _referred(predictions: Predictions) -> Bools:
    if predictions.answered is None:
        return np.zeros(len(predictions), dtype=np.bool_)
    return ~predictions.answered


def _small(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    return copy
