"""What is measured of films, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.data import read_films
from lucency.drift.sample import looks_of, some_patients, thumbnail


def test_looks_by_hand() -> None:
    """A 32 × 32 film, left half 0, right half 100: the step gives its two columns a Laplacian of 100, 30 rows high."""
    film = np.zeros((1, 32, 32), np.uint8)
    film[:, :, 16:] = 100
    looks = {name: float(value[0]) for name, value in looks_of(film).items()}
    assert looks["mean gray"] == 50
    assert looks["contrast"] == 50
    assert looks["sharpness"] == pytest.approx(100 * 2 / 30)
    assert looks["border gray"] == 50


def test_thumbnails_know_no_brightness_and_no_contrast() -> None:
    film = np.random.default_rng(0).integers(80, 160, size=(2, 64, 64)).astype(np.uint8)
    np.testing.assert_allclose(thumbnail(film + 40), thumbnail(film), atol=1e-12)
    assert thumbnail(film).shape == (2, 64)
    assert not thumbnail(np.full((1, 16, 16), 7, np.uint8)).any()


def test_some_patients_are_whole() -> None:
    films = read_films("phantom:60")
    some = some_patients(films, 20)
    assert 0 < len(some) <= 20
    for record in some.records:
        assert sum(r.patient == record.patient for r in films.records) == sum(
            r.patient == record.patient for r in some.records
        )
    assert some_patients(films, 60) is films
