"""Fitting calibrations: against scikit-learn, by recovering what was planted, and with few or separated films."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sk_log_loss

from lucency.errors import SourceError, UsageError
from lucency.evaluate.calibrate import FITS, fit, log_loss, recalibrated, truths
from lucency.evaluate.calibration import NAMES, apply
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.reliability import ece

from .samples import binary, drawn, several


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
    found = fit("platt", predictions).parameters
    assert found["slope"][0] == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found["offset"][0] == pytest.approx(reference.intercept_[0], rel=1e-4)


def test_beta_equals_a_logistic_regression_of_two_logarithms() -> None:
    predictions = planted(0.6, 0.5)
    z, labels, weights = smoothed(predictions)
    features = np.stack([np.log(expit(z)), -np.log(expit(-z))], axis=1)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(features, labels, weights)
    found = fit("beta", predictions).parameters
    assert [found["a"][0], found["b"][0]] == pytest.approx(reference.coef_[0].tolist(), rel=1e-3)
    assert found["c"][0] == pytest.approx(reference.intercept_[0], rel=1e-3)


def test_isotonic_equals_scikit_learn_short_of_certainty() -> None:
    predictions = planted(1.0, 0.0, films=300)
    z, n = predictions.logits[:, 0], len(predictions)
    reference = IsotonicRegression(y_min=1 / (n + 2), y_max=1 - 1 / (n + 2), out_of_bounds="clip").fit(
        z, predictions.labels
    )
    new = np.linspace(-12, 12, 500)
    got = expit(apply(fit("isotonic", predictions), new[:, None]))[:, 0]
    np.testing.assert_allclose(got, reference.predict(new), atol=1e-12)


@pytest.mark.parametrize(("slope", "offset"), [(0.4, 0.0), (1.0, 0.0), (2.5, 0.0)])
def test_temperature_finds_what_was_planted(slope: float, offset: float) -> None:
    found = fit("temperature", planted(slope, offset, films=20_000)).parameters["temperature"][0]
    assert found == pytest.approx(1 / slope, rel=0.05)


def test_temperature_of_several_classes_finds_what_was_planted() -> None:
    predictions = several("multiclass", 6000, 4, apart=2.0)  # unit-variance logits 2 apart are off by a factor of 2
    assert fit("temperature", predictions).parameters["temperature"][0] == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("method", ["temperature", "platt", "beta", "isotonic"])
def test_calibration_lowers_the_error_on_new_films(method: str) -> None:
    before, new = planted(0.3, 0.0), planted(0.3, 0.0, seed=1)
    after = recalibrated(new, fit(method, before))  # type: ignore[arg-type]
    assert ece(new.labels == 1, new.probabilities[:, 0]) > 0.15
    assert ece(new.labels == 1, after.probabilities[:, 0]) < 0.03


@pytest.mark.parametrize("method", ["temperature", "platt", "beta", "isotonic"])
def test_separated_films_promise_no_certainty(method: str) -> None:
    """Ten well films below ten ill ones: no method may claim more than the films show."""
    predictions = binary([0] * 10 + [1] * 10, np.linspace(-1, 1, 20).tolist())
    after = recalibrated(predictions, fit(method, predictions))  # type: ignore[arg-type]
    assert 0.8 < after.probabilities.max() < 0.999
    assert np.isfinite(after.probabilities).all()


def test_a_ranking_turned_round_is_flattened_and_not_turned() -> None:
    predictions = planted(-1.0, 0.0, films=500)
    assert fit("platt", predictions).parameters["slope"] == (0.0,)


def test_log_loss_equals_scikit_learn() -> None:
    one, many = drawn(100), several("multiclass", 100, 3)
    assert log_loss(one.logits, truths(one.labels, "binary", 1), "binary") == pytest.approx(
        sk_log_loss(one.labels, expit(one.logits[:, 0]))
    )
    assert log_loss(many.logits, truths(many.labels, "multiclass", 3), "multiclass") == pytest.approx(
        sk_log_loss(many.labels, many.probabilities)
    )


@pytest.mark.parametrize("method", FITS)
def test_every_method_says_what_it_was_fitted_on_and_gives_its_numbers(method: str) -> None:
    calibration = fit(method, drawn(60), "sixty drawn films")  # type: ignore[arg-type]
    assert calibration.fitted_on == "sixty drawn films"
    assert tuple(calibration.parameters) == NAMES[method]
    assert all(isinstance(value, float) for values in calibration.parameters.values() for value in values)


def test_platt_of_several_findings_is_one_each() -> None:
    predictions = several("multilabel", 200, 3)
    assert len(fit("platt", predictions).parameters["slope"]) == 3


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(UsageError, match="expected a calibration among none, temperature"):
        fit("magic", drawn(20))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="beta serves binary tasks, not multiclass"):
        fit("beta", several("multiclass", 20, 3))
    with pytest.raises(SourceError, match="films with and without 'PNEUMONIA', found 3 of 3"):
        fit("platt", binary([1, 1, 1], [1.0, 2.0, 3.0]))
