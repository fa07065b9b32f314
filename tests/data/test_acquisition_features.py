"""Films whose acquisition points to the other class are found; without a cue none stands out."""

from __future__ import annotations

import numpy as np
import pytest

from data.films import as_films, chest
from lucency.data import acquisition_features
from lucency.data.acquisition_features import misled
from lucency.data.acquisition_pairs import Squares, measured
from lucency.data.dataset import Dataset

COUNT = 80
DECEIVED = {5, 33, 46, 72}


def squares(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Normals dark, ill films bright, but for the DECEIVED; each film a patient."""
    labels = [index % 2 for index in range(COUNT)]
    bright = [label != (index in DECEIVED) for index, label in enumerate(labels)]
    pixels = [chest(index, level=40 if high else -40) for index, high in enumerate(bright)]
    films = as_films(pixels, labels)
    known: Squares = measured(films, pixels, [1.0] * COUNT)
    monkeypatch.setattr(acquisition_features, "squares_of", lambda _: known)
    return films


def test_films_with_the_look_of_the_other_class_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    films = squares(monkeypatch)
    found = misled(films)
    # As many films of a fold are called ill as are ill: where scores are equal, one deceived may be among them by luck.
    assert len({films.samples[index].name for index in DECEIVED} & found) >= 3
    assert len(found) <= 2 * len(DECEIVED)


def test_columns_that_say_nothing_are_left_out() -> None:
    pixels = [chest(index) for index in range(4)]
    found = acquisition_features.columns(measured(as_films(pixels, [0, 1, 0, 1]), pixels, [1.0] * 4))
    assert all(len(np.unique(column)) > 1 for column in found.T)
