"""Maps against masks, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from lucency.explain.faith.place import SHARES, drawn, energy, overlap_on_others, overlaps, pointing, precision

EVIDENCE = np.array([[4, 1, -2], [1, 0, 0], [-9, 2, 2]], np.float32)
CORNER = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 0]], bool)


def test_pointing() -> None:
    assert pointing(EVIDENCE, CORNER) == 1
    assert pointing(EVIDENCE, ~CORNER) == 0
    two = np.array([[3, 3], [1, 0]], np.float32)
    assert pointing(two, np.array([[1, 0], [0, 0]], bool)) == 0.5


def test_pointing_near() -> None:
    """The strongest evidence lies 3 pixels right of the mask and 4 below it: 5 pixels away, and 5 is not nearer."""
    evidence, mask = np.zeros((9, 9), np.float32), np.zeros((9, 9), bool)
    evidence[6, 5], mask[:3, :3] = 1, True
    assert pointing(evidence, mask, reach=5) == 0
    assert pointing(evidence, mask, reach=5.01) == 1
    assert pointing(evidence, np.zeros((9, 9), bool), reach=5) == 0


def test_energy() -> None:
    """Evidence for: 4 + 1 + 1 + 2 + 2 = 10, of which 4 + 1 inside; what speaks against does not count."""
    assert energy(EVIDENCE, CORNER) == pytest.approx(0.5)


def test_a_map_without_evidence_points_nowhere() -> None:
    for silent in (np.zeros((3, 3), np.float32), np.full((3, 3), -1, np.float32)):
        assert pointing(silent, CORNER) == 0
        assert energy(silent, CORNER) == 0
        assert not overlaps(silent, CORNER).any()


def test_overlap() -> None:
    """At 0.05 and 0.25 of the maximum 4, five places are in: 2 of 5 + 0 more of the mask. At 0.3 three: 1 of 4."""
    found = dict(zip(SHARES.round(2).tolist(), overlaps(EVIDENCE, CORNER), strict=True))
    assert found[0.05] == found[0.25] == pytest.approx(2 / 5)
    assert found[0.3] == found[0.5] == pytest.approx(1 / 4)
    assert found[0.55] == found[0.95] == pytest.approx(1 / 2)


def test_even_evidence_scores_the_masks_share() -> None:
    even = np.ones((3, 3), np.float32)
    for measure in (pointing, energy, precision):
        assert measure(even, CORNER) == pytest.approx(2 / 9)
    assert overlaps(even, CORNER) == pytest.approx(2 / 9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_precision_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence = rng.integers(-3, 4, (9, 9)).astype(np.float32)  # with ties
    mask = rng.random((9, 9)) < 0.3
    mask[0, 0] = True
    expected = average_precision_score(mask.ravel(), evidence.ravel())
    assert precision(evidence, mask) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_all_lie_between_nothing_and_everything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(8, 8)).astype(np.float32)
    mask = rng.random((8, 8)) < 0.4
    mask[0, 0] = True
    inside = np.where(mask, np.abs(evidence) + 1, -1).astype(np.float32)
    for measure in (pointing, energy, precision, lambda e, m: overlaps(e, m)[0]):
        assert 0 <= measure(evidence, mask) <= 1
        assert measure(inside, mask) == pytest.approx(1)


def test_the_threshold_is_chosen_on_other_patients() -> None:
    """Films of patients in one half are best at share 3, of the other at share 10: each gets the other's."""
    groups = np.arange(10)
    half = np.isin(groups, np.random.default_rng(0).permutation(groups)[:5])
    table = np.zeros((10, 19))
    table[half, 3], table[half, 10] = 0.9, 0.2
    table[~half, 3], table[~half, 10] = 0.1, 0.8
    assert overlap_on_others(table, groups) == pytest.approx(np.where(half, 0.2, 0.1))


def test_one_patient_has_no_others() -> None:
    assert np.isnan(overlap_on_others(np.ones((3, 19)), np.zeros(3, np.int64))).all()


def test_a_drawn_map_is_linear_between_cells_and_never_beyond_them() -> None:
    found = drawn(np.array([[0, 1]], np.float32).repeat(2, axis=0), 4)
    np.testing.assert_allclose(found, np.tile([0, 0.25, 0.75, 1], (4, 1)), atol=1e-6)
    assert drawn(np.full((1, 1), 3, np.float32), 5).tolist() == np.full((5, 5), 3).tolist()
