"""Cross-fitting: nothing of a patient teaches what answers it, and the gain is that of the planted fault."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.errors import SourceError, UsageError
from lucency.evaluate.crossfit import Asked, crossfit, fit_all, parted
from lucency.evaluate.gain import gains

from .samples import binary, drawn, several


def too_sure(films: int = 400, seed: int = 0):  # type: ignore[no-untyped-def]
    """Calibrated films whose logits have been trebled and moved by 2."""
    one = drawn(films, apart=2.0, seed=seed)
    return binary(one.labels.tolist(), (3 * one.logits[:, 0] + 2).tolist(), patients=one.patients)


def test_folds_part_patients_and_hold_each_film_once() -> None:
    films = drawn(101)
    held = []
    for rest, out in parted(films, 7):
        assert not {films.patients[i] for i in rest} & {films.patients[i] for i in out}
        assert {0, 1} <= set(films.labels[rest])
        held += out.tolist()
    assert sorted(held) == list(range(101))


def test_no_more_folds_than_the_rarer_label_has_patients() -> None:
    films = binary([0] * 20 + [1] * 3, list(range(23)))
    assert len(list(parted(films, 10))) == 3
    with pytest.raises(SourceError, match="at least two patients of each label"):
        list(parted(binary([0] * 20 + [1], list(range(21))), 10))


def test_a_planted_fault_is_mended() -> None:
    films = too_sure()
    asked = Asked(method="platt", rule="youden", coverage=0.9)
    crossed = crossfit(films, asked)
    found = {one.name: one for one in gains((films, films.verdicts()), (crossed.predictions, crossed.called), 200)}
    assert found["log_loss"].difference.high < 0  # type: ignore[operator]
    assert found["ece"].after.value < 0.05 < found["ece"].before.value  # type: ignore[operator]
    assert found["answered_accuracy"].after.value > found["accuracy"].after.value  # type: ignore[operator]
    fitted = fit_all(films, asked, "these").calibration
    assert fitted is not None
    # logit = 3 z + 2 means z = (logit - 2) / 3.
    assert fitted.parameters["slope"][0] == pytest.approx(1 / 3, rel=0.25)
    assert fitted.parameters["offset"][0] == pytest.approx(-2 / 3, abs=0.35)


def test_what_needs_no_mending_gains_nothing() -> None:
    films = drawn(400, apart=2.0)
    crossed = crossfit(films, Asked(method="platt", rule="keep", coverage=None))
    found = {one.name: one for one in gains((films, films.verdicts()), (crossed.predictions, crossed.called), 200)}
    assert found["log_loss"].difference.low < 0 < found["log_loss"].difference.high  # type: ignore[operator]
    assert found["answered"].after.value == 1.0


def test_keep_keeps() -> None:
    films = drawn(100)
    fitted = fit_all(films, Asked(method=None, rule="keep", coverage=None))
    assert (fitted.calibration, fitted.least, fitted.point.threshold) == (None, (), 0.5)
    assert fitted.point.sensitivity == pytest.approx(films.verdicts()[films.labels == 1].mean())
    np.testing.assert_array_equal(fitted.answers(films).probabilities, films.probabilities)


def test_difference_is_after_less_before_and_zero_for_the_same() -> None:
    films = drawn(120)
    same = gains((films, films.verdicts()), (films, films.verdicts()), 100)
    assert [(one.difference.value, one.difference.low, one.difference.high) for one in same] == [(0.0, 0.0, 0.0)] * len(
        same
    )


def test_several_classes_abstain_and_several_findings_do_not() -> None:
    crossed = crossfit(several("multiclass", 300, 3), Asked(method="temperature", rule="keep", coverage=0.9))
    assert crossed.predictions.answered is not None
    with pytest.raises(UsageError, match="leave abstention out"):
        fit_all(several("multilabel", 60, 3), Asked(method="platt", rule="keep"))


def test_keep_calls_the_same_films_under_another_calibration() -> None:
    films = too_sure()
    fitted = fit_all(films, Asked(method="platt", rule="keep", coverage=None, kept_logit=0.0))
    new = fitted.answers(films)
    np.testing.assert_array_equal(new.verdicts(fitted.point.threshold), films.verdicts(0.5))
    assert fitted.point.threshold != pytest.approx(0.5, abs=0.05)
    # At the logit 0 of a platt calibration stands its offset.
    assert fitted.calibration is not None
    assert fitted.point.threshold == pytest.approx(1 / (1 + np.exp(-fitted.calibration.parameters["offset"][0])))


def test_a_threshold_given() -> None:
    films = binary([0, 0, 1, 1], [-2.0, 1.0, 0.5, 3.0])
    point = fit_all(films, Asked(method=None, rule="0.5", coverage=None)).point
    assert (point.threshold, point.chosen_by, point.sensitivity, point.specificity) == (0.5, "given", 1.0, 0.5)
    with pytest.raises(UsageError, match="expected a threshold from 0 to 1, received 7"):
        fit_all(films, Asked(method=None, rule="7", coverage=None))


def test_all_right_is_no_proof_of_never_wrong() -> None:
    """Twenty of twenty patients: Clopper & Pearson's lower bound is 0.025 ** (1 / 20)."""
    films = binary([0] * 10 + [1] * 10, [-4.0] * 10 + [4.0] * 10)
    found = {one.name: one for one in gains((films, films.verdicts()), (films, films.verdicts()), 100)}
    assert (found["accuracy"].after.value, found["accuracy"].after.high) == (1.0, 1.0)
    assert found["accuracy"].after.low == pytest.approx(0.025 ** (1 / 20))
