"""Calibration: by hand, by law, against scikit-learn, and by recovering what was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.special import logit as scipy_logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sk_log_loss

from lucency.errors import BundleError, SourceError, UsageError
from lucency.evaluate.calibration import (
    APPLY,
    METHODS,
    PARAMETERS,
    Calibration,
    Method,
    Parameters,
    apply,
    fit_calibration,
    log_loss,
    logit,
    one_vs_rest,
    probabilities,
    recalibrated,
)
from lucency.evaluate.metrics import ece
from lucency.evaluate.predictions import Predictions

from .samples import binary, drawn, several

ROWS: list[tuple[Method, Parameters]] = [
    ("none", {}),
    ("temperature", {"temperature": (2.5,)}),
    ("platt", {"slope": (0.4,), "offset": (-1.0,)}),
    ("beta", {"a": (0.5,), "b": (1.5,), "c": (0.2,)}),
    ("isotonic", {"logits": (-3.0, 0.0, 4.0), "probabilities": (0.05, 0.4, 0.99)}),
]


def test_every_method_has_names_and_a_row() -> None:
    assert set(PARAMETERS) == set(APPLY) == {method for method, _ in ROWS} | {"dirichlet"}


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
        ("dirichlet", {"matrix": (1.0,) * 8, "offset": (0.0,) * 3}, 3, "k · k numbers in matrix"),
        ("dirichlet", {"matrix": (1.0,), "offset": (0.0,)}, 1, "k classes"),
    ],
)
def test_what_cannot_be_applied_is_refused(
    method: Method, parameters: Parameters, findings: int, complaint: str
) -> None:
    with pytest.raises(BundleError, match=complaint):
        apply(Calibration(method, parameters), np.zeros((2, findings)))


def planted(slope: float, offset: float, films: int = 4000, seed: int = 0) -> Predictions:
    """Films whose true log-odds are slope z + offset."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 3, size=films)
    return binary((rng.random(films) < expit(slope * z + offset)).astype(int).tolist(), z.tolist())


def smoothed(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Platt's targets as weighted films: logits, labels, weights."""
    z, ill = predictions.logits[:, 0], predictions.labels == 1
    target = np.where(ill, (ill.sum() + 1) / (ill.sum() + 2), 1 / ((~ill).sum() + 2))
    ones = np.ones(len(z))
    return np.concatenate([z, z]), np.concatenate([ones, 0 * ones]), np.concatenate([target, 1 - target])


def test_platt_equals_a_logistic_regression() -> None:
    predictions = planted(0.5, -1.0)
    z, labels, weights = smoothed(predictions)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(z[:, None], labels, weights)
    found = fit_calibration("platt", predictions).parameters
    assert found["slope"][0] == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found["offset"][0] == pytest.approx(reference.intercept_[0], rel=1e-4)


def test_beta_equals_a_logistic_regression_of_two_logarithms() -> None:
    predictions = planted(0.6, 0.5)
    z, labels, weights = smoothed(predictions)
    features = np.stack([np.log(expit(z)), -np.log(expit(-z))], axis=1)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(features, labels, weights)
    found = fit_calibration("beta", predictions).parameters
    assert [found["a"][0], found["b"][0]] == pytest.approx(reference.coef_[0].tolist(), rel=1e-3)
    assert found["c"][0] == pytest.approx(reference.intercept_[0], rel=1e-3)


def test_isotonic_equals_scikit_learn_short_of_certainty() -> None:
    predictions = planted(1.0, 0.0, films=300)
    z, n = predictions.logits[:, 0], len(predictions)
    reference = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2), out_of_bounds="clip").fit(
        z, predictions.labels
    )
    new = np.linspace(-12, 12, 500)
    got = expit(apply(fit_calibration("isotonic", predictions), new[:, None]))[:, 0]
    np.testing.assert_allclose(got, reference.predict(new), atol=1e-12)


@pytest.mark.parametrize(("slope", "offset"), [(0.4, 0.0), (1.0, 0.0), (2.5, 0.0)])
def test_temperature_finds_what_was_planted(slope: float, offset: float) -> None:
    found = fit_calibration("temperature", planted(slope, offset, films=20_000)).parameters["temperature"][0]
    assert found == pytest.approx(1 / slope, rel=0.05)


def test_temperature_of_several_classes_finds_what_was_planted() -> None:
    predictions = several("multiclass", 6000, 4, apart=2.0)  # unit-variance logits 2 apart are off by a factor of 2
    assert fit_calibration("temperature", predictions).parameters["temperature"][0] == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("method", ["temperature", "platt", "beta", "isotonic"])
def test_calibration_lowers_the_error_on_new_films(method: str) -> None:
    before, new = planted(0.3, 0.0), planted(0.3, 0.0, seed=1)
    after = recalibrated(new, fit_calibration(method, before))  # type: ignore[arg-type]
    assert ece(new.labels == 1, new.probabilities[:, 0]) > 0.15
    assert ece(new.labels == 1, after.probabilities[:, 0]) < 0.03


@pytest.mark.parametrize("method", ["temperature", "platt", "beta", "isotonic"])
def test_separated_films_promise_no_certainty(method: str) -> None:
    """Ten well films below ten ill ones: no method may claim more than the films show."""
    predictions = binary([0] * 10 + [1] * 10, np.linspace(-1, 1, 20).tolist())
    after = recalibrated(predictions, fit_calibration(method, predictions))  # type: ignore[arg-type]
    assert 0.8 < after.probabilities.max() < 0.999
    assert np.isfinite(after.probabilities).all()


def test_a_ranking_turned_round_is_flattened_and_not_turned() -> None:
    predictions = planted(-1.0, 0.0, films=500)
    assert fit_calibration("platt", predictions).parameters["slope"] == (0.0,)


def test_log_loss_equals_scikit_learn() -> None:
    one, many = drawn(100), several("multiclass", 100, 3)
    assert log_loss(one.logits, one_vs_rest(one.labels, "binary", 1), "binary") == pytest.approx(
        sk_log_loss(one.labels, expit(one.logits[:, 0]))
    )
    assert log_loss(many.logits, one_vs_rest(many.labels, "multiclass", 3), "multiclass") == pytest.approx(
        sk_log_loss(many.labels, many.probabilities)
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_was_fitted_on_and_gives_its_numbers(method: str) -> None:
    films = several("multiclass", 60, 3) if method == "dirichlet" else drawn(60)
    calibration = fit_calibration(method, films, "sixty drawn films")  # type: ignore[arg-type]
    assert calibration.fitted_on == "sixty drawn films"
    assert tuple(calibration.parameters) == PARAMETERS[method]
    assert all(isinstance(value, float) for values in calibration.parameters.values() for value in values)


def test_platt_of_several_findings_is_one_each() -> None:
    predictions = several("multilabel", 200, 3)
    assert len(fit_calibration("platt", predictions).parameters["slope"]) == 3


def test_dirichlet_by_hand() -> None:
    """Probabilities 1/8, 2/8, 5/8; the second class takes what the first one says."""
    z = np.log([[1.0, 2.0, 5.0]]) + 7
    lists = {"matrix": (1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0), "offset": (0.0, 0.5, 0.0)}
    expected = [[np.log(1 / 8), 2 * np.log(1 / 8) + 0.5, np.log(5 / 8)]]
    np.testing.assert_allclose(apply(Calibration("dirichlet", lists), z), expected)


def confused(films: int, seed: int) -> Predictions:
    """Calibrated films of three classes whose third logit is half the first: no slope of its own mends it."""
    one = several("multiclass", films, 3, seed=seed, apart=1.0)
    mixed = 2 * one.logits @ np.array([[1.0, 0.0, 0.45], [0.0, 1.0, 0.0], [0.0, 0.0, 0.55]])
    return replace(one, logits=mixed, probabilities=probabilities(mixed, "multiclass"))


def test_dirichlet_mends_one_class_taken_for_another() -> None:
    films, new = confused(2000, 0), confused(2000, 1)
    truth = one_vs_rest(new.labels, "multiclass", 3)
    losses = {
        method: log_loss(apply(fit_calibration(method, films), new.logits), truth, "multiclass")  # type: ignore[arg-type]
        for method in ("temperature", "platt", "dirichlet")
    }
    best = sk_log_loss(new.labels, several("multiclass", 2000, 3, seed=1, apart=1.0).probabilities)
    assert losses["dirichlet"] < losses["platt"] - 0.02
    assert losses["dirichlet"] == pytest.approx(best, abs=0.01)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a calibration among none, temperature"):
        fit_calibration("magic", drawn(20))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="beta is for binary tasks, not multiclass"):
        fit_calibration("beta", several("multiclass", 20, 3))
    with pytest.raises(SourceError, match="films with and without 'PNEUMONIA', found 3 of 3"):
        fit_calibration("platt", binary([1, 1, 1], [1.0, 2.0, 3.0]))
