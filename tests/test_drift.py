"""Drift: the false-alarm rate by simulation, planted shifts, distances equal to scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import energy_distance, ks_2samp

from lucency.data import read_dataset
from lucency.drift import Sample, appearance_of, compare, max_t_p_values, subsample_patients, thumbnail
from lucency.errors import SourceError


def drawn(patients: int, rng: np.random.Generator, shift: float = 0.0) -> Sample:
    """One to four films a patient, similar within a patient; five numbers and a vector of six."""
    films = rng.integers(1, 5, size=patients)
    patient = np.repeat(np.arange(patients), films)
    whose = rng.normal(size=(patients, 11))
    x = whose[patient] + 0.3 * rng.normal(size=(len(patient), 11)) + shift
    return Sample(patient, {f"number {k}": x[:, k] for k in range(5)}, {"vector": x[:, 5:]}, {})


def test_false_alarms_by_simulation() -> None:
    """Films of a patient are similar, as real ones are; 400 comparisons at 0.1, within three standard errors."""
    rng = np.random.default_rng(0)
    alarms = [compare(drawn(25, rng), drawn(15, rng), level=0.1, draws=99, seed=k).alarm for k in range(400)]
    assert np.mean(alarms) <= 0.1 + 3 * np.sqrt(0.09 / 400)
    assert np.mean(alarms) >= 0.1 - 4 * np.sqrt(0.09 / 400)  # not conservative either


def test_a_planted_shift_is_found() -> None:
    rng = np.random.default_rng(1)
    found = compare(drawn(80, rng), drawn(80, rng, shift=1.0), draws=199)
    assert found.alarm
    assert {shift.name for shift in found.shifts if shift.alarm} == {shift.name for shift in found.shifts}


def test_only_the_shifted_number_is_reported() -> None:
    rng = np.random.default_rng(2)
    before, after = drawn(80, rng), drawn(80, rng)
    after.numbers["number 3"][:] += 1.5
    found = compare(before, after, draws=199)
    assert [shift.name for shift in found.shifts if shift.alarm] == ["number 3"]
    assert found.shifts[0].after > found.shifts[0].before + 1  # type: ignore[operator]


def test_distances_equal_scipys() -> None:
    rng = np.random.default_rng(3)
    one, other = np.round(rng.normal(size=60), 1), np.round(rng.normal(0.4, 1, size=40), 1)  # rounded, for ties
    sides = [Sample(np.arange(len(x)), {"x": x}, {"as a vector": x[:, None]}, {}) for x in (one, other)]
    found = {shift.name: shift.distance for shift in compare(*sides, draws=99).shifts}
    assert found["x"] == pytest.approx(ks_2samp(one, other).statistic)
    # scipy gives sqrt(2 E|X-Y| - E|X-X'| - E|Y-Y'|); ours is its square over 2 E|X-Y|, scaled alike.
    across = np.abs(one[:, None] - other).mean()
    assert found["as a vector"] == pytest.approx(energy_distance(one, other) ** 2 / (2 * across), rel=1e-6)


def test_p_values_are_adjusted_for_all_comparisons() -> None:
    """Two rows that always agree count once: the p of both is the rank, 2 of 10."""
    row = np.array([8.0, 9, 1, 2, 3, 4, 5, 6, 7, 0])
    assert max_t_p_values(np.stack([row, row])).tolist() == [0.2, 0.2]
    # One row is as extreme in permutations 0 and 1, the other in 9 and 8: four of ten in all.
    assert max_t_p_values(np.stack([row, row[::-1]])).tolist() == [0.4, 1.0]


def test_too_few_patients_or_draws() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(SourceError, match="at least 10 patients on each side, found 9"):
        compare(drawn(9, rng), drawn(20, rng))
    with pytest.raises(SourceError, match=r"99 draws cannot show a chance of 0\.001; take 1000 or more"):
        compare(drawn(20, rng), drawn(20, rng), level=0.001, draws=99)


def test_appearance_by_hand() -> None:
    """A 32 × 32 film, left half 0, right half 100: the step gives its two columns a Laplacian of 100, 30 rows high."""
    film = np.zeros((1, 32, 32), np.uint8)
    film[:, :, 16:] = 100
    found = {name: float(value[0]) for name, value in appearance_of(film).items()}
    assert found["mean gray"] == 50
    assert found["contrast"] == 50
    assert found["sharpness"] == pytest.approx(100 * 2 / 30)
    assert found["border gray"] == 50


def test_thumbnails_ignore_brightness_and_contrast() -> None:
    film = np.random.default_rng(0).integers(80, 160, size=(2, 64, 64)).astype(np.uint8)
    np.testing.assert_allclose(thumbnail(film + 40), thumbnail(film), atol=1e-12)
    assert thumbnail(film).shape == (2, 64)
    assert not thumbnail(np.full((1, 16, 16), 7, np.uint8)).any()


def test_subsample_keeps_whole_patients() -> None:
    films = read_dataset("phantom:60")
    some = subsample_patients(films, 20)
    assert 0 < len(some) <= 20
    for record in some.samples:
        assert sum(r.patient == record.patient for r in films.samples) == sum(
            r.patient == record.patient for r in some.samples
        )
    assert subsample_patients(films, 60) is films
