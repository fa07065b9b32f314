"""Intervals in closed form: against scipy and statistics worked by hand, by law, and by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from lucency.evaluate.bounds import area_interval, clopper_pearson, design_effect, interval_of, share_interval, wilson
from lucency.evaluate.metrics import Finding

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
    found = share_interval(right, np.ones(390, bool), np.arange(390))
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
    once = share_interval(right[::3], np.ones(40, bool), np.arange(40))
    assert share_interval(right, np.ones(120, bool), groups) == pytest.approx(once)


@pytest.mark.parametrize("name", ["accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auroc"])
def test_copies_of_a_film_are_no_evidence(name: str) -> None:
    finding, groups = study(np.random.default_rng(5), 80, 1.5)
    doubled = replace(
        finding,
        **{part: np.tile(getattr(finding, part), 2) for part in ("truth", "called", "score", "probability")},
    )
    once = interval_of(name, finding, groups)
    assert interval_of(name, doubled, np.tile(groups, 2)) == pytest.approx(once)
    low, high = interval_of(name, doubled, np.arange(2 * len(groups)))  # type: ignore[misc]
    assert high - low < once[1] - once[0]  # type: ignore[index]


def test_an_area_of_equal_scores_or_one_patient_of_a_class_has_no_interval() -> None:
    truth, groups = np.array([True, True, False, False]), np.arange(4)
    assert area_interval(truth, np.zeros(4), groups) is None
    assert area_interval(truth, np.array([1.0, 2.0, 1.5, 0.0]), np.array([0, 0, 1, 2])) is None
    assert area_interval(np.ones(4, bool), np.arange(4.0), groups) is None


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
            low, high = interval_of(name, finding, groups)  # type: ignore[misc]
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
    assert interval_of(name, *perfect()) == pytest.approx((0.025 ** (1 / trials), 1.0))


def test_f1_follows_its_share_of_right_answers() -> None:
    share = 0.025 ** (1 / 10)
    assert interval_of("f1", *perfect()) == pytest.approx((2 * share / (1 + share), 1.0))


def test_no_closed_form_for_the_rest() -> None:
    assert interval_of("brier", *perfect()) is None
