"""Drift: false alarms held by simulation, planted shifts found, distances equal to scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import energy_distance, ks_2samp

from lucency.data import read_dataset
from lucency.drift import Sample, appearance_of, compare, max_t_p_values, subsample_patients, thumbnail
from lucency.errors import SourceError


def drawn(patients: int, rng: np.random.Generator, shift: float = 0.0) -> Sample:
    """One to four films a patient, alike within a patient; five numbers and a vector of six."""
    films = rng.integers(1, 5, size=patients)
    patient = np.repeat(np.arange(patients), films)
    whose = rng.normal(size=(patients, 11))
    x = whose[patient] + 0.3 * rng.normal(size=(len(patient), 11)) + shift
    return Sample(patient, {f"number {k}": x[:, k] for k in range(5)}, {"vector": x[:, 5:]}, {})


def test_false_alarms_by_simulation() -> None:
    """Films of a patient are alike, as real ones are; 400 comparisons at 0.1, three spreads (0.015) allowed."""
    rng = np.random.default_rng(0)
    alarms = [compare(drawn(25, rng), drawn(15, rng), level=0.1, draws=99, seed=k).alarm for k in range(400)]
    assert np.mean(alarms) <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert np.mean(alarms) >= 0.1 - 4 * np.sqrt(0.09 / 400)  # and no power is given away


def test_a_planted_shift_is_found() -> None:
    rng = np.random.default_rng(1)
    found = compare(drawn(80, rng), drawn(80, rng, shift=1.0), draws=199)
    assert found.alarm
    assert {shift.name for shift in found.shifts if shift.alarm} == {shift.name for shift in found.shifts}


def test_one_shifted_number_among_others_is_the_one_named() -> None:
    rng = np.random.default_rng(2)
    before, after = drawn(80, rng), drawn(80, rng)
    after.numbers["number 3"][:] += 1.5
    found = compare(before, after, draws=199)
    assert [shift.name for shift in found.shifts if shift.alarm] == ["number 3"]
    assert found.shifts[0].after > found.shifts[0].before + 1  # type: ignore[operator]


def test_the_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    one, other = np.round(rng.normal(size=60), 1), np.round(rng.normal(0.4, 1, size=40), 1)  # rounded, so that some tie
    sides = [Sample(np.arange(len(x)), {"x": x}, {"same as a vector": x[:, None]}, {}) for x in (one, other)]
    found = {shift.name: shift.distance for shift in compare(*sides, draws=99).shifts}
    assert found["x"] == pytest.approx(ks_2samp(one, other).statistic)
    # scipy gives sqrt(2 E|X-Y| - E|X-X'| - E|Y-Y'|); ours is its square over 2 E|X-Y|, scaled alike.
    across = np.abs(one[:, None] - other).mean()
    assert found["same as a vector"] == pytest.approx(energy_distance(one, other) ** 2 / (2 * across), rel=1e-6)


def test_the_p_told_is_that_of_the_family() -> None:
    """Two rows that always agree count once: the p of both is the rank, 2 of 10."""
    row = np.array([8.0, 9, 1, 2, 3, 4, 5, 6, 7, 0])
    assert max_t_p_values(np.stack([row, row])).tolist() == [0.2, 0.2]
    # A row that is extreme in another deal costs its share: p <= 0.2 in deals 0 and 1 by the one, 9 and 8 by the other.
    assert max_t_p_values(np.stack([row, row[::-1]])).tolist() == [0.4, 1.0]


def test_too_few_patients_or_draws() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(SourceError, match="at least 10 patients on each side, found 9"):
        compare(drawn(9, rng), drawn(20, rng))
    with pytest.raises(SourceError, match=r"99 draws cannot show a chance of 0\.001; take 1000 or more"):
        compare(drawn(20, rng), drawn(20, rng), level=0.001, draws=99)


def test_looks_by_hand() -> None:
    """A 32 × 32 film, left half 0, right half 100: the step gives its two columns a Laplacian of 100, 30 rows high."""
    film = np.zeros((1, 32, 32), np.uint8)
    film[:, :, 16:] = 100
    looks = {name: float(value[0]) for name, value in appearance_of(film).items()}
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
    films = read_dataset("phantom:60")
    some = subsample_patients(films, 20)
    assert 0 < len(some) <= 20
    for record in some.samples:
        assert sum(r.patient == record.patient for r in films.samples) == sum(
            r.patient == record.patient for r in some.samples
        )
    assert subsample_patients(films, 60) is films
