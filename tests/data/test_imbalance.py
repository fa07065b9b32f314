from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.utils.class_weight import compute_class_weight

from lucency.data import Dataset, Sample
from lucency.data.imbalance import class_weights, finding_weights, oversampled, table
from lucency.errors import SourceError, UsageError
from lucency.film import open_film

LABELS = npst.arrays(np.int64, st.integers(1, 80), elements=st.integers(0, 3))


def a_film(index: int, label: int | tuple[int, ...], patient: str | None) -> Sample:
    return Sample(str(index), label, partial(open_film, Path("nowhere.png")), patient)


def test_the_table_by_hand() -> None:
    people = [(0, "a"), (1, "b"), (1, "b"), (1, "c")]
    films = Dataset(("normal", "pneumonia"), tuple(a_film(at, *who) for at, who in enumerate(people)))
    assert table(films).splitlines() == [
        "class       films  patients   share",
        "normal          1         1   25.0%",
        "pneumonia       3         2   75.0%",
    ]


def test_the_table_says_when_patients_are_unknown() -> None:
    films = Dataset(("a", "b"), tuple(a_film(at, (1, at % 2), None) for at in range(4)), "multilabel")
    assert table(films).splitlines()[1:] == [
        "a           4         4  100.0%",
        "b           2         2   50.0%",
        "patients unknown: each film without one counts as a patient of its own",
    ]


@given(LABELS)
@settings(deadline=None)
def test_balanced_weights_are_those_of_scikit_learn(labels: np.ndarray) -> None:
    classes, dense = np.unique(labels, return_inverse=True)
    expected = compute_class_weight("balanced", classes=np.arange(len(classes)), y=dense)
    weights = class_weights(dense, "balanced", len(classes))
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_allclose(weights[dense].mean(), 1)


def test_balanced_weights_by_hand() -> None:
    """Six films, two classes: 6 / (2 * 2) and 6 / (2 * 4)."""
    np.testing.assert_allclose(class_weights(np.array([0, 0, 1, 1, 1, 1]), "balanced", 2), [1.5, 0.75])


def test_given_weights_are_taken_as_they_are() -> None:
    labels = np.array([0, 1])
    assert class_weights(labels, [1.0, 3.0], 2).tolist() == [1, 3]
    assert class_weights(labels, {1: 3.0, 0: 0.5}, 2).tolist() == [0.5, 3]


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 2.0, 3.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], {0: 1.0, 2: 1.0}]
)
def test_given_weights_that_make_no_sense(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="expected 2 class weights, each above 0"):
        class_weights(np.array([0, 1]), weights, 2)


def test_other_words_and_absent_classes() -> None:
    with pytest.raises(UsageError, match="received 'even'"):
        class_weights(np.array([0, 1]), "even", 2)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=r"films of all 2 classes to balance them, found \[2, 0\]"):
        class_weights(np.array([0, 0]), "balanced", 2)


@given(LABELS, st.integers(0, 5), st.integers(0, 5))
@settings(deadline=None)
def test_oversampling_shows_each_film_and_each_class_as_often(labels: np.ndarray, seed: int, epoch: int) -> None:
    shown = oversampled(labels, seed, epoch)
    times = np.bincount(shown, minlength=len(labels))
    most = np.bincount(labels).max()
    for label in np.unique(labels):
        own = times[labels == label]
        assert own.sum() == most
        assert own.min() >= 1
        assert np.ptp(own) <= 1
    np.testing.assert_array_equal(shown, oversampled(labels, seed, epoch))


def test_several_findings_cannot_be_oversampled() -> None:
    with pytest.raises(UsageError, match="one class a film"):
        oversampled(np.eye(3, dtype=np.int64), 0, 0)


def test_each_epoch_draws_anew() -> None:
    labels = np.repeat([0, 1], [3, 50])
    assert oversampled(labels, 0, 0).tolist() != oversampled(labels, 0, 1).tolist()


def test_findings_weigh_as_much_as_their_absence() -> None:
    labels = np.zeros((100, 4), dtype=np.int64)
    labels[:20, 0], labels[:1, 1], labels[:, 2] = 1, 1, 1
    assert finding_weights(labels, "balanced", 4).tolist() == [4.0, 20.0, 0.05, 20.0]
    assert finding_weights(labels, (1.0, 2.0, 3.0, 4.0), 4).tolist() == [1.0, 2.0, 3.0, 4.0]
