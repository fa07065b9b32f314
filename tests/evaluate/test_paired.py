"""Two readers on the same films: published examples, laws, and films of one patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from lucency.evaluate.paired import compare_areas, compare_right

OVARIAN = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0   2.5 5.7  8 0   1.6 5.6  5 1
3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1   4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0
2.3 4.4  6 1   4.2 7.6  4 0   4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1   3.3 6.8  6 0   1.7 4.0  7 0
3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1   2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1
3.3 5.7  6 1   3.7 6.9  5 1   3.6 6.6  5 1
"""
"""Albumin, total protein, K-G score and outcome of the patients with ovarian cancer of DeLong et al. 1988, as
SAS/STAT's manual prints them (PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves")."""


def ovarian() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    albumin, protein, score, outcome = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    return outcome == 0, {"albumin": -albumin, "protein": -protein, "k-g": -(10 - score)}


def test_delong_equals_sas() -> None:
    """SAS prints: albumin 0.7366 (0.0927), K-G 0.7258 (0.1028), protein 0.6478 (0.1000); differences below."""
    truth, scores = ovarian()
    alone = np.arange(len(truth))
    first = compare_areas(truth, scores["albumin"], scores["k-g"], alone)
    second = compare_areas(truth, scores["protein"], scores["k-g"], alone)
    assert first is not None
    assert second is not None
    assert (first.a, first.error_a) == pytest.approx((0.7366, 0.0927), abs=5e-5)
    assert (first.b, first.error_b) == pytest.approx((0.7258, 0.1028), abs=5e-5)
    assert (second.a, second.error_a) == pytest.approx((0.6478, 0.1000), abs=5e-5)
    # Estimate, standard error, 95 % limits, p
    assert (first.difference, first.error, *first.interval, first.p) == pytest.approx(
        (0.0108, 0.0953, -0.1761, 0.1976, 0.9102), abs=6e-5
    )
    assert (second.difference, second.error, *second.interval, second.p) == pytest.approx(
        (-0.0780, 0.1046, -0.2830, 0.1271, 0.4561), abs=6e-5
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(6, 60))
def test_areas_are_scikit_learns_and_swapping_readers_swaps_signs(seed: int, films: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(films) % 3 == 0)
    a, b = np.round(rng.normal(size=(2, films)) + truth, 1)
    groups = rng.integers(0, films // 2, films)
    there, back = compare_areas(truth, a, b, groups), compare_areas(truth, b, a, groups)
    assert there is not None
    assert back is not None
    assert (there.a, there.b) == pytest.approx((roc_auc_score(truth, a), roc_auc_score(truth, b)))
    assert (there.difference, there.error, there.p) == pytest.approx((-back.difference, back.error, back.p))


def test_copies_of_films_are_no_evidence() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(50) % 2 == 0
    a, b = rng.normal(size=(2, 50)) + truth
    once = compare_areas(truth, a, b, np.arange(50))
    thrice = compare_areas(*(np.tile(part, 3) for part in (truth, a, b)), np.tile(np.arange(50), 3))
    assert once is not None
    assert thrice is not None
    assert thrice.error == pytest.approx(once.error)
    right_a, right_b = (a > 0.5) == truth, (b > 0.5) == truth
    single = compare_right(right_a, right_b, np.arange(50))
    tripled = compare_right(np.tile(right_a, 3), np.tile(right_b, 3), np.tile(np.arange(50), 3))
    assert (tripled.exact, tripled.mid_p) == pytest.approx((single.exact, single.mid_p))


def test_limits_of_areas() -> None:
    truth = np.array([True, True, False, False])
    score = np.array([4.0, 3.0, 2.0, 1.0])
    same = compare_areas(truth, score, score, np.arange(4))
    assert same is not None
    assert (same.difference, same.error, same.p) == (0, 0, 1)
    assert compare_areas(np.ones(4, dtype=bool), score, score, np.arange(4)) is None


def right(only_a: int, only_b: int, both: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b, np.arange(len(a))


def test_mcnemar_equals_the_published_example() -> None:
    """Bentur et al.'s 21 children, in Fagerland et al. 2013: 1 against 7 discordant; exact 0.0703, mid-p 0.0391.

    By hand: 2 (1 + 8) / 256 = 0.0703, less 8 / 256.
    """
    found = compare_right(*right(1, 7, 13))
    assert (found.only_a, found.only_b, found.films) == (1, 7, 21)
    assert found.exact == pytest.approx(18 / 256)
    assert found.mid_p == pytest.approx(10 / 256)
    assert found.difference == pytest.approx(-6 / 21)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    found = compare_right(*right(only_a, only_b, 3))
    total, less = only_a + only_b, min(only_a, only_b)
    point = float(binom.pmf(less, total, 0.5))
    twice = 2 * float(binom.cdf(less, total, 0.5))
    assert found.exact == pytest.approx(1.0 if only_a == only_b else twice)
    assert found.mid_p == pytest.approx(1 - point / 2 if only_a == only_b else twice - point)


def test_a_patients_films_toss_one_coin() -> None:
    """One patient of three films, all right by the first reader alone: the sum is +3 or -3, each one half."""
    a, b = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    assert compare_right(a, b, np.zeros(3, dtype=np.int64)).exact == pytest.approx(1.0)
    assert compare_right(a, b, np.arange(3)).exact == pytest.approx(0.25)


def test_false_alarms_hold_their_rate_where_films_of_a_patient_agree() -> None:
    """300 studies without a difference, four films a patient that go together: by patient about 5 % alarm."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(60), 4)
    by_patient = by_film = areas = 0
    for _ in range(300):
        own = rng.normal(size=(2, 60))[:, groups] + 0.3 * rng.normal(size=(2, 240))
        truth = (np.arange(60) % 2 == 0)[groups]
        a, b = own + truth
        answers = (a > 0.5) == truth, (b > 0.5) == truth
        by_patient += compare_right(*answers, groups).mid_p < 0.05
        by_film += compare_right(*answers, np.arange(240)).mid_p < 0.05
        compared = compare_areas(truth, a, b, groups)
        assert compared is not None
        areas += compared.p < 0.05
    assert by_patient / 300 == pytest.approx(0.05, abs=0.035)
    assert areas / 300 == pytest.approx(0.05, abs=0.035)
    assert by_film / 300 > 0.15
