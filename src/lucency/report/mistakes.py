"""The worst errors, each with the reader's map: what a person should look at before trusting a figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.data import Dataset
from lucency.errors import FilmError
from lucency.evaluate import Predictions
from lucency.lungs import lung_outline
from lucency.paint import overlay
from lucency.reader import Reader

EACH = 6
"""Errors shown of each kind."""
HEIGHT = 240
"""Pixels along the long side of a picture."""


@dataclass(frozen=True)
class Mistake:
    """A film called wrongly, and how it looks."""

    name: str
    true: str
    called: str
    probability: float
    """Given to what was called."""
    film: Image.Image
    map: Image.Image
    referred: bool = False
    """Whether the reader did not stand by its call: its verdict is `uncertain`."""


def worst(predictions: Predictions, threshold: float, each: int = EACH) -> dict[str, tuple[int, ...]]:
    """The wrong films with the least probability for the truth, by kind of error; indices into the predictions.

    Those that the reader answered come first: where it refers, a person looks.

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


def probability_of_truth(predictions: Predictions) -> NDArray[np.float64]:
    """What the reader gave the true label (n,); of several findings, the least."""
    p = predictions.probabilities
    if predictions.task == "multiclass":
        return np.asarray(p[np.arange(len(p)), predictions.labels])
    truth = predictions.labels.reshape(len(p), -1) == 1
    return np.asarray(np.where(truth, p, 1 - p).min(axis=1))


def look(reader: Reader, films: Dataset, predictions: Predictions, threshold: float, index: int) -> Mistake | None:
    """Open a film again and paint its map; None where it can no longer be read."""
    name = predictions.names[index]
    record = next(record for record in films.samples if record.name == name)
    try:
        film = record.load()
    except FilmError:
        return None
    reading = reader.read(film)
    painted = overlay(film, reading.map, reader.preprocess, lungs=lung_outline(film.gray8()))
    said = predictions.names_of(predictions.called(threshold)[[index]])[0] or "none"
    true = predictions.names_of(predictions.labels[[index]])[0] or "none"
    return Mistake(
        name,
        true,
        said,
        _given(predictions, said, index),
        _small(Image.fromarray(film.gray8())),
        _small(painted),
        bool(_referred(predictions)[index]),
    )


def _referred(predictions: Predictions) -> NDArray[np.bool_]:
    if predictions.answered is None:
        return np.zeros(len(predictions), dtype=np.bool_)
    return ~predictions.answered


def _given(predictions: Predictions, said: str, index: int) -> float:
    p = predictions.probabilities[index]
    if predictions.task == "binary":
        return float(p[0] if said == predictions.label_names[1] else 1 - p[0])
    return float(p.max())


def _small(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    copy.thumbnail((HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
    return copy
