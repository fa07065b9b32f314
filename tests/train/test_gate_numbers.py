"""The gate's numbers: what is spoiled is seen, by hand and where the plain distance does not see it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.models.gate import Gaussian
from lucency.train.gate import BLUR, NOISE, blurred, noisy
from lucency.train.gate_numbers import SPOILED, gaussian, watching


def distance(numbers: dict[str, torch.Tensor], x: np.ndarray) -> np.ndarray:
    """Doubts (n,) of (n, d)."""
    opened = Gaussian(numbers["directions"].shape[1], numbers["directions"].shape[0])
    opened.load_state_dict(numbers)
    with torch.inference_mode():
        return opened(torch.from_numpy(x).float())[:, 0].double().numpy()


def test_one_direction_by_hand() -> None:
    """Even noise of variance 4 in three numbers, spoiled along the second: v = (0, 1, 0), gain = SPOILED / 4."""
    features = np.sqrt(12) * np.concatenate([np.eye(3), -np.eye(3)])  # variance 12 · 2 / 6 = 4 each
    one = torch.ones(1)
    plain = {"mean": torch.zeros(3), "directions": torch.zeros(0, 3), "gains": torch.zeros(0), "noise": 4 * one}
    found = watching(plain, features, [np.array([[0.0, 2.0, 0.0], [0.0, 4.0, 0.0]])])
    torch.testing.assert_close(found["directions"], torch.tensor([[0.0, 1.0, 0.0]]))
    torch.testing.assert_close(found["gains"], torch.tensor([SPOILED / 4]))
    assert distance(found, np.array([[0.0, 2.0, 0.0]])) == pytest.approx((1 + SPOILED) / 3)


def test_nothing_spoiled_changes_nothing() -> None:
    found = gaussian(np.random.default_rng(0).normal(size=(60, 5)), 2)
    assert watching(found, np.zeros((60, 5)), []) is found


def test_a_small_move_among_many_numbers_is_seen() -> None:
    """Five standard deviations along one of 400 numbers: next to nothing to the plain distance."""
    rng = np.random.default_rng(1)
    films, new, spoiled, others = (rng.normal(size=(n, 400)) for n in (1500, 1000, 200, 500))
    spoiled[:, 7] += 5
    others[:, 7] += 5
    seen = []
    for numbers in (gaussian(films, 16), watching(gaussian(films, 16), films, [spoiled])):
        limit = np.quantile(distance(numbers, new), 0.99)
        seen.append(np.mean(distance(numbers, others) > limit))
    assert seen[0] < 0.3
    assert seen[1] > 0.9


def test_what_spoils_is_as_said() -> None:
    gray = np.full((2, 160, 160), 128, dtype=np.uint8)
    assert noisy(gray).std() == pytest.approx(NOISE, rel=0.02)
    dot = np.zeros((1, 161, 161), dtype=np.uint8)
    dot[:, 60:101, 80] = 255  # a line: its blur has the profile of the blur
    profile = blurred(dot)[0, 80].astype(float)
    spread = np.sqrt((profile * (np.arange(161) - 80) ** 2).sum() / profile.sum())
    assert spread == pytest.approx(BLUR * 161, rel=0.1)
