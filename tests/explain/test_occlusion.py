"""Occlusion by hand on readers that are plain functions, and against captum's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from lucency.errors import ExplainError
from lucency.explain.attribution import occlusion
from lucency.explain.occlusion import occlude

from .conftest import random_network


def bright_corner(films: np.ndarray) -> np.ndarray:
    """Logit 0: mean of the top left quarter. Logit 1: minus the mean of the film."""
    half = films.shape[1] // 2
    corner = films[:, :half, :half].mean((1, 2))
    return np.stack([corner, -films.mean((1, 2))], axis=1).astype(np.float32)


def test_occlusion_by_hand_without_overlap() -> None:
    """Covering the corner, which is 100 on 0, by the film's mean 25 costs 75; covering elsewhere costs nothing."""
    film = np.zeros((8, 8), np.uint8)
    film[:4, :4] = 100
    np.testing.assert_allclose(occlude(bright_corner, film, patch=0.5, stride=0.5), [[75, 0], [0, 0]])
    np.testing.assert_allclose(occlude(bright_corner, film, opposite=True, patch=0.5, stride=0.5), [[-75, 0], [0, 0]])


def test_occlusion_by_hand_with_overlap() -> None:
    """Patches of half a side every quarter; cover 0. The logit is a mean over 16 pixels: 100 · overlap / 16 each."""
    film = np.zeros((8, 8), np.uint8)
    film[:4, :4] = 100
    found = occlude(bright_corner, film, patch=0.5, stride=0.25, fill=0)
    assert found.shape == (4, 4)
    assert found[0, 0] == pytest.approx(100)  # one patch covers it, and all of the corner
    assert found[1, 1] == pytest.approx((100 + 50 + 50 + 25) / 4)
    assert found[3, 3] == 0


def test_every_pixel_is_covered_for_any_side() -> None:
    for side in (1, 2, 3, 5, 7, 13, 31):
        film = np.full((side, side), 200, np.uint8)
        assert np.isfinite(occlude(bright_corner if side > 1 else lambda x: x.mean((1, 2))[:, None], film)).all()


def test_occlusion_equals_captums() -> None:
    attr = pytest.importorskip("captum.attr")
    classifier = random_network("dense128", 2)
    gray = np.random.default_rng(5).integers(0, 256, (56, 56), dtype=np.uint8)
    film = torch.from_numpy(gray.astype(np.float32))[None, None]
    with torch.no_grad():
        pixels = attr.Occlusion(classifier).attribute(
            film, (1, 8, 8), (1, 4, 4), baselines=round(float(gray.mean())), target=1, perturbations_per_eval=8
        )[0, 0]
    expected = pixels.reshape(14, 4, 14, 4).mean((1, 3)).numpy()
    np.testing.assert_allclose(occlusion(classifier, gray, 1), expected, atol=1e-4)


def test_a_reader_that_returns_nan_raises() -> None:
    with pytest.raises(ExplainError, match="not a number"):
        occlude(lambda films: np.full((len(films), 1), np.nan, np.float32), np.zeros((8, 8), np.uint8))


def test_pytorch_is_not_needed() -> None:
    code = "import sys, lucency.explain.occlusion; sys.exit('torch' in sys.modules or 'captum' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
