"""Applying a calibration: by hand, by law, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.special import logit as scipy_logit

from lucency.errors import BundleError
from lucency.evaluate.calibration import APPLY, NAMES, Calibration, Method, Parameters, apply, logit, probabilities

ROWS: list[tuple[Method, Parameters]] = [
    ("none", {}),
    ("temperature", {"temperature": (2.5,)}),
    ("platt", {"slope": (0.4,), "offset": (-1.0,)}),
    ("beta", {"a": (0.5,), "b": (1.5,), "c": (0.2,)}),
    ("isotonic", {"logits": (-3.0, 0.0, 4.0), "probabilities": (0.05, 0.4, 0.99)}),
]


def test_every_method_has_names_and_a_row() -> None:
    assert set(NAMES) == set(APPLY) == {method for method, _ in ROWS}


def test_by_hand() -> None:
    z = np.array([[2.0]])
    p = expit(2.0)
    expected = {
        "none": 2.0,
        "temperature": 2.0 / 2.5,
        "platt": 0.4 * 2 - 1,
        "beta": 0.5 * np.log(p) - 1.5 * np.log(1 - p) + 0.2,
        "isotonic": scipy_logit((0.4 + 0.99) / 2),
    }
    got = {method: apply(Calibration(method, parameters), z)[0, 0] for method, parameters in ROWS}
    assert got == pytest.approx(expected)


@pytest.mark.parametrize(("method", "parameters"), ROWS)
@settings(deadline=None)
@given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=20))
def test_rises_with_the_logit_and_stays_finite(method: Method, parameters: Parameters, values: list[float]) -> None:
    z = np.sort(np.array(values))[:, None]
    calibrated = apply(Calibration(method, parameters), z)
    assert np.isfinite(calibrated).all()
    assert (np.diff(calibrated[:, 0]) >= 0).all()


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("temperature", {"temperature": (1.0,)}),
        ("platt", {"slope": (1.0,), "offset": (0.0,)}),
        ("beta", {"a": (1.0,), "b": (1.0,), "c": (0.0,)}),
    ],
)
def test_the_neutral_parameters_change_nothing(method: Method, parameters: Parameters) -> None:
    z = np.linspace(-40, 40, 17)[:, None]
    np.testing.assert_allclose(apply(Calibration(method, parameters), z), z, atol=1e-12)


def test_one_number_a_finding() -> None:
    z = np.array([[1.0, 2.0], [3.0, 4.0]])
    calibration = Calibration("platt", {"slope": (2.0, 3.0), "offset": (1.0,)})
    np.testing.assert_array_equal(apply(calibration, z), [[3, 7], [7, 13]])


def test_float32_logits_are_calibrated_in_float64() -> None:
    assert apply(Calibration(), np.zeros((1, 1), dtype=np.float32)).dtype == np.float64


def test_probabilities_equal_scipy() -> None:
    z = np.array([[-800.0, 0.0, 30.0], [5.0, 5.0, 5.0]])
    np.testing.assert_allclose(probabilities(z, "multilabel"), expit(z), rtol=1e-13)
    np.testing.assert_allclose(probabilities(z, "multiclass"), softmax(z, axis=1), rtol=1e-13)
    np.testing.assert_allclose(logit(np.array([0.01, 0.7])), scipy_logit([0.01, 0.7]))


@pytest.mark.parametrize(
    ("method", "parameters", "findings", "complaint"),
    [
        ("magic", {}, 1, "expected a method among none"),
        ("temperature", {}, 1, "needs the numbers temperature"),
        ("platt", {"slope": (1.0,)}, 1, "needs the numbers offset"),
        ("platt", {"slope": (1.0, 2.0), "offset": (0.0,)}, 3, "expected 1 or 3 numbers in slope"),
        ("isotonic", {"logits": (0.0, 1.0), "probabilities": (0.5,)}, 1, "as many logits as probabilities"),
        ("isotonic", {"logits": (0.0,), "probabilities": (0.5,)}, 2, "one finding"),
    ],
)
def test_what_cannot_be_applied_is_refused(
    method: Method, parameters: Parameters, findings: int, complaint: str
) -> None:
    with pytest.raises(BundleError, match=complaint):
        apply(Calibration(method, parameters), np.zeros((2, findings)))
