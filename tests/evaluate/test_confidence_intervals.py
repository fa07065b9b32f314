"""Intervals: against scipy, by hand, by law, and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm
from scipy.stats import bootstrap as scipy_bootstrap

from lucency.evaluate.confidence_intervals import (
    auroc_interval,
    bca,
    bootstrap,
    clopper_pearson,
    design_effect,
    leave_out,
    metric_interval,
    proportion_interval,
    resample,
    wilson,
)
from lucency.evaluate.metrics import METRICS, Finding, compute_metrics

from .samples import study

CLOSED = ("accuracy", "sensitivity", "specificity", "auroc")


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (3, 17), (390, 390), (1, 1)])
def test_equal_to_scipy(hits: int, trials: int) -> None:
    expected = binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, trials) == pytest.approx((expected.low, expected.high))
    expected = binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson(hits / trials, trials) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("errors", [1, 6, 195, 389])
def test_one_film_a_patient_is_wilsons(errors: int) -> None:
    right = np.arange(390) >= errors
    expected = binomtest(390 - errors, 390).proportion_ci(0.95, method="wilson")
    assert design_effect(right, np.arange(390)) == pytest.approx(1)
    found = proportion_interval(right, np.ones(390, bool), np.arange(390))
    assert found == pytest.approx((expected.low, expected.high))


def test_a_design_effect_by_hand() -> None:
    """Two patients of two films, (2, 1) right; with two imagined ones of 2 films and weight 1/2, (2, 0) right:

    p = (2 + 1 + 1) / 6 = 2/3, residuals 2/3, -1/3, 2/3, -4/3, squares 4/9 + 1/9 + (4/9 + 16/9) / 2 = 15/9,
    independent films 6 · 2/3 · 1/3 = 12/9.
    """
    assert design_effect(np.array([True, True, True, False]), np.array([0, 0, 1, 1])) == pytest.approx(15 / 12)


def test_patients_whose_films_agree_count_as_one_film_each() -> None:
    right, groups = np.repeat(np.arange(40) % 8 > 0, 3), np.repeat(np.arange(40), 3)
    assert design_effect(right, groups) == pytest.approx(3)
    once = proportion_interval(right[::3], np.ones(40, bool), np.arange(40))
    assert proportion_interval(right, np.ones(120, bool), groups) == pytest.approx(once)


@pytest.mark.parametrize("name", ["accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auroc"])
def test_copies_of_a_film_are_no_evidence(name: str) -> None:
    finding, groups = study(np.random.default_rng(5), 80, 1.5)
    doubled = replace(
        finding,
        **{part: np.tile(getattr(finding, part), 2) for part in ("truth", "called", "score", "probability")},
    )
    once = metric_interval(name, finding, groups)
    assert metric_interval(name, doubled, np.tile(groups, 2)) == pytest.approx(once)
    low, high = metric_interval(name, doubled, np.arange(2 * len(groups)))  # type: ignore[misc]
    assert high - low < once[1] - once[0]  # type: ignore[index]


def test_an_area_of_equal_scores_or_one_patient_of_a_class_has_no_interval() -> None:
    truth, groups = np.array([True, True, False, False]), np.arange(4)
    assert auroc_interval(truth, np.zeros(4), groups) is None
    assert auroc_interval(truth, np.array([1.0, 2.0, 1.5, 0.0]), np.array([0, 0, 1, 2])) is None
    assert auroc_interval(np.ones(4, bool), np.arange(4.0), groups) is None


@pytest.mark.parametrize("films", ["one to several", "one"])
@pytest.mark.parametrize("apart", [2.3, 3.3])
def test_coverage_quickly(films: str, apart: float) -> None:
    """400 studies of 430 patients: 95 ± 3.3, three standard errors of 400 draws; `test_coverage` is the bar."""
    assert coverage(400, 430, apart, films) == pytest.approx(dict.fromkeys(CLOSED, 95), abs=3.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patients", "area"), [(200, 0.9), (200, 0.95), (430, 0.9), (430, 0.95), (430, 0.99), (1000, 0.995)]
)
@pytest.mark.parametrize("films", ["one", "one to several", "one to five"])
def test_coverage(films: str, patients: int, area: float) -> None:
    """In 4,000 simulated studies the 95 % interval holds the truth 95 ± 1.5 % of the time."""
    found = coverage(4000, patients, norm.ppf(area) * np.sqrt(2), films)
    assert found == pytest.approx(dict.fromkeys(CLOSED, 95), abs=1.5)


def coverage(studies: int, patients: int, apart: float, films: str) -> dict[str, float]:
    """Per cent of studies whose interval holds the truth.

    Accuracy, sensitivity, specificity are Phi(apart / 2) and the area Phi(apart / sqrt 2), known without simulation.
    """
    rng = np.random.default_rng(8)
    truth = dict.fromkeys(CLOSED[:-1], norm.cdf(apart / 2)) | {"auroc": norm.cdf(apart / np.sqrt(2))}
    hits = dict.fromkeys(CLOSED, 0)
    for _ in range(studies):
        finding, groups = study(rng, patients, apart, films)
        for name, value in truth.items():
            low, high = metric_interval(name, finding, groups)  # type: ignore[misc]
            hits[name] += low <= value <= high
    return {name: 100 * count / studies for name, count in hits.items()}


def test_rule_of_three() -> None:
    """No miss in n patients: at 95 % one-sided the rate is below about 3 / n."""
    assert 1 - clopper_pearson(300, 300, level=0.9)[0] == pytest.approx(3 / 300, rel=0.01)


def perfect() -> tuple[Finding, np.ndarray]:
    """Ten ill patients with two films each, four well ones with one; every answer right."""
    truth = np.array([True] * 20 + [False] * 4)
    groups = np.concatenate([np.repeat(np.arange(10), 2), np.arange(10, 14)])
    return Finding("P", truth, truth, truth.astype(float), truth.astype(float)), groups


@pytest.mark.parametrize(
    ("name", "trials"),
    [("accuracy", 14), ("sensitivity", 10), ("specificity", 4), ("precision", 10), ("npv", 4), ("auroc", 4)],
)
def test_patients_are_the_trials(name: str, trials: int) -> None:
    assert metric_interval(name, *perfect()) == pytest.approx((0.025 ** (1 / trials), 1.0))


def test_f1_follows_its_share_of_right_answers() -> None:
    share = 0.025 ** (1 / 10)
    assert metric_interval("f1", *perfect()) == pytest.approx((2 * share / (1 + share), 1.0))


def test_no_closed_form_for_the_rest() -> None:
    assert metric_interval("brier", *perfect()) is None


def mean_of(values: NDArray[np.float64]):  # type: ignore[no-untyped-def]
    return lambda weights: (weights @ values / weights.sum(axis=1))[:, None]


def test_bca_equals_scipy() -> None:
    values = np.random.default_rng(1).exponential(size=40)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=np.random.default_rng(2))
    left_out = np.array([np.delete(values, i).mean() for i in range(len(values))])
    low, high = bca(theirs.bootstrap_distribution, float(values.mean()), left_out)
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_the_mean_of_many_has_the_textbook_interval() -> None:
    values = np.random.default_rng(3).normal(10, 2, size=400)
    result = bootstrap(mean_of(values), np.arange(400), resamples=4000)
    half = 1.96 * values.std(ddof=1) / 20
    assert result.value[0] == pytest.approx(values.mean())
    assert result.low[0] == pytest.approx(values.mean() - half, abs=0.03)
    assert result.high[0] == pytest.approx(values.mean() + half, abs=0.03)


def test_same_seed_same_interval() -> None:
    finding, groups = study(np.random.default_rng(4), 60, 2.0)
    first, again, other = (bootstrap(lambda w: compute_metrics(finding, w), groups, 200, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any()


def test_copies_of_a_film_are_no_evidence_of_intervals() -> None:
    """Each film of each patient a second time: the interval by patient must not move."""
    finding, groups = study(np.random.default_rng(5), 80, 1.5)
    doubled = Finding(
        "P", *(np.tile(part, 2) for part in (finding.truth, finding.called, finding.score, finding.probability))
    )
    once = bootstrap(lambda w: compute_metrics(finding, w), groups, 300)
    twice = bootstrap(lambda w: compute_metrics(doubled, w), np.tile(groups, 2), 300)
    np.testing.assert_allclose(once.low, twice.low)
    np.testing.assert_allclose(once.high, twice.high)
    alone = bootstrap(lambda w: compute_metrics(doubled, w), np.arange(2 * len(groups)), 300)
    ece = METRICS.index("ece")  # has an interval of its own
    assert np.delete(alone.high - alone.low < once.high - once.low, ece).all()


def test_a_resample_draws_as_many_patients_and_all_their_films() -> None:
    groups = np.array([0, 0, 0, 1, 2, 2])
    weights = np.concatenate(list(resample(groups, 50, np.random.default_rng(6))))
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 4] == 3).all()


@pytest.mark.parametrize("patients", [3, 2000])
def test_leaving_out_leaves_each_patient_out_once(patients: int) -> None:
    groups = np.sort(np.concatenate([np.arange(patients), np.arange(0, patients, 2)]))
    weights = np.concatenate(list(leave_out(groups, np.random.default_rng(7))))
    assert ((weights == 0).sum(axis=0) == 1).all()


def test_what_is_seldom_defined_gets_no_interval() -> None:
    """A single ill patient of four is missing from a third of the resamples: no sensitivity there."""
    truth = np.array([True, False, False, False])
    finding = Finding("P", truth, truth, truth.astype(float), truth.astype(float))
    result = bootstrap(lambda w: compute_metrics(finding, w), np.arange(4), 400)
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
        result = bootstrap(lambda w, f=finding: compute_metrics(f, w)[:, [METRICS.index("brier")]], groups, 1000, seed)
        hits += result.low[0] <= truth <= result.high[0]
    assert 100 * hits / 1500 == pytest.approx(95, abs=1.5)
