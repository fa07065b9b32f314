"""The gate's numbers: what is corrupted is detected, by hand and where the plain distance does not see it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.models.ood_detector import Gaussian
from lucency.train.ood import BLUR, CORRUPTED_WEIGHT, NOISE, add_corruptions, add_noise, blur, fit_gaussian


def distance(numbers: dict[str, torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Doubts (n,) of (n, d)."""
    opened = Gaussian(numbers["directions"].shape[1], numbers["directions"].shape[0])
    opened.load_state_dict(numbers)
    with torch.inference_mode():
        return opened(torch.from_numpy(x).float())[:, 0].double().numpy()


def test_one_corruption_by_hand() -> None:
    """Isotropic noise of variance 4, corrupted along the second axis: v = (0, 1, 0), gain = CORRUPTED_WEIGHT / 4."""
    features = np.sqrt(12) * np.concatenate([np.eye(3), -np.eye(3)])  # variance 12 · 2 / 6 = 4 each
    one = torch.ones(1)
    plain = {"mean": torch.zeros(3), "directions": torch.zeros(0, 3), "gains": torch.zeros(0), "noise": 4 * one}
    found = add_corruptions(plain, features, [np.array([[0.0, 2.0, 0.0], [0.0, 4.0, 0.0]])])
    torch.testing.assert_close(found["directions"], torch.tensor([[0.0, 1.0, 0.0]]))
    torch.testing.assert_close(found["gains"], torch.tensor([CORRUPTED_WEIGHT / 4]))
    assert distance(found, np.array([[0.0, 2.0, 0.0]])) == pytest.approx((1 + CORRUPTED_WEIGHT) / 3)


def test_no_corruptions_change_nothing() -> None:
    found = fit_gaussian(np.random.default_rng(0).normal(size=(60, 5)), 2)
    assert add_corruptions(found, np.zeros((60, 5)), []) is found


def test_a_small_corruption_among_many_features_is_detected() -> None:
    """Five standard deviations along one of 400 features: almost nothing for the plain distance."""
    rng = np.random.default_rng(1)
    films, new, corrupted, others = (rng.normal(size=(n, 400)) for n in (1500, 1000, 200, 500))
    corrupted[:, 7] += 5
    others[:, 7] += 5
    detected = []
    for numbers in (fit_gaussian(films, 16), add_corruptions(fit_gaussian(films, 16), films, [corrupted])):
        limit = np.quantile(distance(numbers, new), 0.99)
        detected.append(np.mean(distance(numbers, others) > limit))
    assert detected[0] < 0.3
    assert detected[1] > 0.9


def test_noise_and_blur_have_the_given_size() -> None:
    gray = np.full((2, 160, 160), 128, dtype=np.uint8)
    assert add_noise(gray).std() == pytest.approx(NOISE, rel=0.02)
    dot = np.zeros((1, 161, 161), dtype=np.uint8)
    dot[:, 60:101, 80] = 255  # a line: its blur has the profile of the blur
    profile = blur(dot)[0, 80].astype(float)
    spread = np.sqrt((profile * (np.arange(161) - 80) ** 2).sum() / profile.sum())
    assert spread == pytest.approx(BLUR * 161, rel=0.1)
