"""A reader's predictions for a whole data set, ready for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, readable_batches
from lucency.data.labels import matching
from lucency.errors import FilmError, SourceError
from lucency.evaluate import Predictions
from lucency.reader.outputs import abstains, accepted, failed_checks
from lucency.reader.reader import Reader

BATCH = 32
"""Films per batch."""


@dataclass(frozen=True)
class Predicted:
    """Predictions for the readable films, and the errors of the others."""

    predictions: Predictions
    unreadable: tuple[FilmError, ...]
    let_in: NDArray[np.bool_]
    """(n,), films that pass the gate; all if the reader has no gate."""


def predict(reader: Reader, films: Dataset) -> Predicted:
    """Read every film of a data set; unreadable films are skipped.

    Args:
        reader: an open bundle or run.
        films: labelled as the reader's card labels them; the order of the labels is the card's.

    Raises:
        SourceError: the labels differ from the reader's, or no film can be read.
    """
    aligned = as_labelled(films, reader.card.labels)
    good: list[int] = []
    unreadable: list[FilmError] = []
    logits, probabilities, stands, passes = [], [], [], []
    for indices, squares in readable_batches(aligned, reader.preprocess, BATCH, "reading films", unreadable):
        outputs = reader.read_batch(np.stack(squares))
        good += indices
        logits.append(outputs.logits)
        probabilities.append(outputs.probabilities)
        stands.append(accepted(reader.card, outputs))
        passes.append(~failed_checks(reader.card, outputs).any(axis=1))
    found = _predictions(aligned.subset(good), np.concatenate(logits), np.concatenate(probabilities))
    found = replace(found, costs=reader.card.costs)
    if abstains(reader.card):
        found = replace(found, answered=np.concatenate(stands))
    return Predicted(found, tuple(unreadable), np.concatenate(passes))


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
