"""Two readers on the same films: published examples, laws, simulation, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from lucency.errors import SourceError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.comparison import (
    align,
    compare,
    delong_test,
    detectable_auroc,
    detectable_difference,
    detectable_proportion,
    mcnemar_test,
)

from .samples import binary, drawn, several

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
    first = delong_test(truth, scores["albumin"], scores["k-g"], alone)
    second = delong_test(truth, scores["protein"], scores["k-g"], alone)
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
    there, back = delong_test(truth, a, b, groups), delong_test(truth, b, a, groups)
    assert there is not None
    assert back is not None
    assert (there.a, there.b) == pytest.approx((roc_auc_score(truth, a), roc_auc_score(truth, b)))
    assert (there.difference, there.error, there.p) == pytest.approx((-back.difference, back.error, back.p))


def test_copies_of_films_are_no_evidence() -> None:
    rng = np.random.default_rng(1)
    truth = np.arange(50) % 2 == 0
    a, b = rng.normal(size=(2, 50)) + truth
    once = delong_test(truth, a, b, np.arange(50))
    thrice = delong_test(*(np.tile(part, 3) for part in (truth, a, b)), np.tile(np.arange(50), 3))
    assert once is not None
    assert thrice is not None
    assert thrice.error == pytest.approx(once.error)
    right_a, right_b = (a > 0.5) == truth, (b > 0.5) == truth
    single = mcnemar_test(right_a, right_b, np.arange(50))
    tripled = mcnemar_test(np.tile(right_a, 3), np.tile(right_b, 3), np.tile(np.arange(50), 3))
    assert (tripled.exact, tripled.mid_p) == pytest.approx((single.exact, single.mid_p))


def test_limits_of_areas() -> None:
    truth = np.array([True, True, False, False])
    score = np.array([4.0, 3.0, 2.0, 1.0])
    same = delong_test(truth, score, score, np.arange(4))
    assert same is not None
    assert (same.difference, same.error, same.p) == (0, 0, 1)
    assert delong_test(np.ones(4, dtype=bool), score, score, np.arange(4)) is None


def right(only_a: int, only_b: int, both: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b, np.arange(len(a))


def test_mcnemar_equals_the_published_example() -> None:
    """Bentur et al.'s 21 children, in Fagerland et al. 2013: 1 against 7 discordant; exact 0.0703, mid-p 0.0391.

    By hand: 2 (1 + 8) / 256 = 0.0703, less 8 / 256.
    """
    found = mcnemar_test(*right(1, 7, 13))
    assert (found.only_a, found.only_b, found.films) == (1, 7, 21)
    assert found.exact == pytest.approx(18 / 256)
    assert found.mid_p == pytest.approx(10 / 256)
    assert found.difference == pytest.approx(-6 / 21)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    found = mcnemar_test(*right(only_a, only_b, 3))
    total, less = only_a + only_b, min(only_a, only_b)
    point = float(binom.pmf(less, total, 0.5))
    twice = 2 * float(binom.cdf(less, total, 0.5))
    assert found.exact == pytest.approx(1.0 if only_a == only_b else twice)
    assert found.mid_p == pytest.approx(1 - point / 2 if only_a == only_b else twice - point)


def test_a_patients_films_toss_one_coin() -> None:
    """One patient of three films, all right by the first reader alone: the sum is +3 or -3, each one half."""
    a, b = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    assert mcnemar_test(a, b, np.zeros(3, dtype=np.int64)).exact == pytest.approx(1.0)
    assert mcnemar_test(a, b, np.arange(3)).exact == pytest.approx(0.25)


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
        by_patient += mcnemar_test(*answers, groups).mid_p < 0.05
        by_film += mcnemar_test(*answers, np.arange(240)).mid_p < 0.05
        compared = delong_test(truth, a, b, groups)
        assert compared is not None
        areas += compared.p < 0.05
    assert by_patient / 300 == pytest.approx(0.05, abs=0.035)
    assert areas / 300 == pytest.approx(0.05, abs=0.035)
    assert by_film / 300 > 0.15


LABELS = [0, 0, 0, 1, 1, 1]


def test_by_hand() -> None:
    first = binary(LABELS, [-1, -1, 1, 1, 1, -1])  # one false alarm, one miss
    second = binary(LABELS, [-1, -1, -1, 1, -1, -1])  # two misses
    (found,) = compare(first, second, resamples=100)
    by_name = {contrast.name: contrast for contrast in found.contrasts}
    assert by_name["accuracy"].difference == pytest.approx(4 / 6 - 4 / 6)
    assert by_name["sensitivity"].difference == pytest.approx(2 / 3 - 1 / 3)
    assert by_name["specificity"].difference == pytest.approx(2 / 3 - 1)
    balance = by_name["sensitivity"].balance
    assert balance is not None
    assert (balance.only_a, balance.only_b, balance.exact) == (1, 0, 1.0)


def test_films_are_matched_by_name() -> None:
    first = binary(LABELS, [-3, -2, 1, 2, 3, -1])
    shuffled = first.pick([5, 3, 1, 0, 2, 4])
    assert align(first, shuffled).names == first.names
    (found,) = compare(first, shuffled, resamples=100)
    assert found.areas is not None
    assert (found.areas.difference, found.areas.p) == (0, 1)
    assert all(contrast.difference == 0 and contrast.detectable is None for contrast in found.contrasts)


def test_what_does_not_match_is_refused() -> None:
    first = binary(LABELS, [0.5] * 6)
    with pytest.raises(SourceError, match="1 are only in the first and 0 only in the second"):
        align(first, first.pick([0, 1, 2, 3, 4]))
    with pytest.raises(SourceError, match="2 differ"):
        align(first, binary([1, 0, 0, 1, 1, 0], [0.5] * 6))
    with pytest.raises(SourceError, match="same labels"):
        align(first, several("multiclass", 6, 3))


def test_areas_are_those_of_judging() -> None:
    first, second = drawn(120, 1.0, seed=1), drawn(120, 1.0, seed=1)
    second = binary(
        second.labels.tolist(), (second.logits[:, 0] + np.arange(120) % 7).tolist(), patients=first.patients
    )
    (found,) = compare(first, second, (0.4, 0.6), resamples=200)
    assert found.areas is not None
    for report, value in (
        (evaluate_predictions(first, 0.4, 100), found.areas.a),
        (evaluate_predictions(second, 0.6, 100), found.areas.b),
    ):
        assert report.measure("auroc").value == pytest.approx(value)
    accuracy = found.contrasts[0]
    assert accuracy.a == pytest.approx(evaluate_predictions(first, 0.4, 100).measure("accuracy").value)
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < accuracy.difference < accuracy.high  # type: ignore[operator]


def test_every_finding_of_several() -> None:
    first, second = several("multiclass", 60, 3, seed=1), several("multiclass", 60, 3, seed=1, apart=0.5)
    assert [one.finding for one in compare(first, second, resamples=100)] == ["finding 0", "finding 1", "finding 2"]
    assert all(
        one.to_json()["auroc"]["a"] >= one.to_json()["auroc"]["b"] for one in compare(first, second, resamples=100)
    )


def test_detectable_by_the_textbook() -> None:
    # z(0.975) + z(0.8) = 1.96 + 0.8416 = 2.8016
    assert detectable_difference(1.0) == pytest.approx(norm.isf(0.025) + norm.isf(0.2))
    assert detectable_auroc(0.01, 0.5) == pytest.approx(detectable_difference(0.01))
    assert detectable_auroc(0.01, 1.0) == 0


@pytest.mark.parametrize(("films", "differing"), [(624, 0.06), (200, 0.2), (5000, 0.01)])
def test_share_solves_connors_equation(films: int, differing: float) -> None:
    d = detectable_proportion(films, differing)
    assert d is not None
    needed = (norm.isf(0.025) * np.sqrt(differing) + norm.isf(0.2) * np.sqrt(differing - d**2)) ** 2 / d**2
    assert needed == pytest.approx(films, rel=1e-6)


def test_too_few_films_show_nothing() -> None:
    assert detectable_proportion(5, 0.1) is None
    assert detectable_proportion(100, 0.0) is None


def test_the_difference_promised_is_found_four_times_in_five() -> None:
    films, differing = 400, 0.1
    d = detectable_proportion(films, differing)
    assert d is not None
    rng = np.random.default_rng(0)
    share = [(differing + d) / 2, (differing - d) / 2, 1 - differing]
    found = 0
    for _ in range(600):
        which = rng.choice(3, size=films, p=share)
        found += mcnemar_test(which != 1, which != 0, np.arange(films)).mid_p < 0.05
    assert found / 600 == pytest.approx(0.8, abs=0.06)
