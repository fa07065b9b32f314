"""Intervals: against scipy's BCa, by law, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm

from lucency.evaluate.intervals import bands, bca, leaving_out, resampled
from lucency.evaluate.metrics import METRICS, Finding, brier, measure

from .samples import study


def mean_of(values: NDArray[np.float64]):  # type: ignore[no-untyped-def]
    return lambda weights: (weights @ values / weights.sum(axis=1))[:, None]


def test_bca_equals_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=40)
    theirs = bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(2))
    left_out = np.array([np.delete(values, i).mean() for i in range(len(values))])
    low, high = bca(theirs.bootstrap_distribution, float(values.mean()), left_out)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_the_mean_of_many_has_the_textbook_interval() -> None:
    values = np.random.default_rng(3).normal(10, 2, size=400)
    result = bands(mean_of(values), np.arange(400), resamples=4000)
    half = 1.96 * values.std(ddof=1) / 20
    assert result.value[0] == pytest.approx(values.mean())
    assert result.low[0] == pytest.approx(values.mean() - half, abs=0.03)
    assert result.high[0] == pytest.approx(values.mean() + half, abs=0.03)


def test_same_seed_same_interval() -> None:
    finding, groups = study(np.random.default_rng(4), 60, 2.0)
    first, again, other = (bands(lambda w: measure(finding, w), groups, 200, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any()


def test_copies_of_a_film_are_no_evidence() -> None:
    """Each film of each patient a second time: the interval by patient must not move."""
    finding, groups = study(np.random.default_rng(5), 80, 1.5)
    doubled = Finding(
        "P", *(np.tile(part, 2) for part in (finding.truth, finding.called, finding.score, finding.probability))
    )
    once = bands(lambda w: measure(finding, w), groups, 300)
    twice = bands(lambda w: measure(doubled, w), np.tile(groups, 2), 300)
    np.testing.assert_allclose(once.low, twice.low)
    np.testing.assert_allclose(once.high, twice.high)
    alone = bands(lambda w: measure(doubled, w), np.arange(2 * len(groups)), 300)
    ece = METRICS.index("ece")  # has an interval of its own
    assert np.delete(alone.high - alone.low < once.high - once.low, ece).all()


def test_a_resample_draws_as_many_patients_and_all_their_films() -> None:
    groups = np.array([0, 0, 0, 1, 2, 2])
    weights = np.concatenate(list(resampled(groups, 50, np.random.default_rng(6))))
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 4] == 3).all()


@pytest.mark.parametrize("patients", [3, 2000])
def test_leaving_out_leaves_each_patient_out_once(patients: int) -> None:
    groups = np.sort(np.concatenate([np.arange(patients), np.arange(0, patients, 2)]))
    weights = np.concatenate(list(leaving_out(groups, np.random.default_rng(7))))
    assert ((weights == 0).sum(axis=0) == 1).all()


def test_what_is_seldom_defined_gets_no_interval() -> None:
    """A single ill patient of four is missing from a third of the resamples: no sensitivity there."""
    truth = np.array([True, False, False, False])
    finding = Finding("P", truth, truth, truth.astype(float), truth.astype(float))
    result = bands(lambda w: measure(finding, w), np.arange(4), 400)
    sensitivity = METRICS.index("sensitivity")
    assert result.value[sensitivity] == 1
    assert np.isnan(result.low[sensitivity])


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "apart"), [(300, 2.3), (430, 3.3)])
def test_coverage_of_what_is_left_to_resampling(patients: int, apart: float) -> None:
    """In 1,500 simulated studies the 95 % interval of the Brier score holds the truth 95 ± 1.5 % of the time."""
    rng = np.random.default_rng(8)
    grid = np.linspace(-8, 8 + apart, 200_001)
    square = (1 / (1 + np.exp(apart * (apart / 2 - grid)))) ** 2
    truth = float(np.trapezoid(square * norm.pdf(grid), grid))  # of films without; by symmetry of those with, too
    hits = 0
    for seed in range(1500):
        finding, groups = study(rng, patients, apart)
        result = bands(lambda w, f=finding: brier(f, w)[:, None], groups, 1000, seed)
        hits += result.low[0] <= truth <= result.high[0]
    assert 100 * hits / 1500 == pytest.approx(95, abs=1.5)
