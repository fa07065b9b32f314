"""A reader's predictions for a whole data set, ready for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset
from lucency.data.decode import decode_each, require_readable
from lucency.data.labels import matching
from lucency.errors import FilmError, SourceError
from lucency.evaluate import Predictions
from lucency.progress import track
from lucency.reader.outputs import abstains, accepted, failed_checks
from lucency.reader.reader import Reader

BATCH = 32
"""Films asked at once."""


@dataclass(frozen=True)
class Predicted:
    """Outputs for the films that could be read, and what was wrong with the others."""

    predictions: Predictions
    unreadable: tuple[FilmError, ...]
    let_in: NDArray[np.bool_]
    """(n,), films that the gate takes for its kind; all where the reader has no gate."""


def predict(reader: Reader, films: Dataset) -> Predicted:
    """Read every film of a data set; a film that cannot be read costs no other.

    Args:
        reader: an open bundle or run.
        films: labelled as the reader's card labels them; the order of the labels is the card's.

    Raises:
        SourceError: the labels differ from the reader's, or no film can be read.
    """
    aligned = as_labelled(films, reader.card.labels)
    outcomes = track(decode_each(aligned, reader.preprocess), "reading films", total=len(aligned))
    good: list[int] = []
    unreadable: list[FilmError] = []
    logits, probabilities, stands, passes = [], [], [], []
    numbered = enumerate(outcomes)
    while batch := list(islice(numbered, BATCH)):
        unreadable += [square for _, square in batch if isinstance(square, FilmError)]
        squares = [(index, square) for index, square in batch if not isinstance(square, FilmError)]
        if squares:
            answers = reader.read_batch(np.stack([square for _, square in squares]))
            good += [index for index, _ in squares]
            logits.append(answers.logits)
            probabilities.append(answers.probabilities)
            stands.append(accepted(reader.card, answers))
            passes.append(~failed_checks(reader.card, answers).any(axis=1))
    require_readable(films, len(good), unreadable)
    said = _predictions(aligned.subset(good), np.concatenate(logits), np.concatenate(probabilities))
    if abstains(reader.card):
        said = replace(said, answered=np.concatenate(stands))
    return Predicted(said, tuple(unreadable), np.concatenate(passes))


def as_labelled(films: Dataset, labels: tuple[str, ...]) -> Dataset:
    """The same films with labels numbered as in `labels`, by meaning: spelling and the name of absence do not matter.

    Raises:
        SourceError: a label of the films is not among `labels`.
    """
    places = matching(films.labels, labels, films.finding)
    if places is None:
        hint = "; if one of them is the finding by another name, say so with --finding" if len(labels) == 2 else ""
        raise SourceError(
            f"{films.source}: expected the labels {', '.join(labels)}, found {', '.join(films.labels)}{hint}"
        )
    return films.with_labels(labels, places)


def _predictions(films: Dataset, logits: np.ndarray, probabilities: np.ndarray) -> Predictions:
    names = sorted({name for record in films.samples for name in record.columns})
    return Predictions(
        names=tuple(record.name for record in films.samples),
        patients=tuple(record.patient for record in films.samples),
        labels=films.label_array(),
        logits=logits.astype(np.float64),
        probabilities=probabilities.astype(np.float64),
        label_names=films.labels,
        task=films.task,
        columns={name: tuple(record.columns.get(name, "") for record in films.samples) for name in names},
    )
