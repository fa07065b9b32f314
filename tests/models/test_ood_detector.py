"""The gate's distances: against the Mahalanobis distance, by hand, and at limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.bundle import Bundle, Card, Model
from lucency.bundle import Gate as GatePart
from lucency.errors import BundleError, SourceError
from lucency.models.ood_detector import (
    CELLS,
    CHECKS,
    OOD_FILE,
    Gaussian,
    OODDetector,
    directions,
    load_ood_detector,
    ood_detector_from_state,
    thumbnails,
)
from lucency.train.ood import crossfit, fit_gaussian, fit_numbers, score


def fitted(x: np.ndarray, axes: int) -> Gaussian:
    own = fit_gaussian(x, axes)
    found = Gaussian(x.shape[1], len(own["directions"]))
    found.load_state_dict(own)
    return found


def test_a_gaussian_with_all_directions_is_the_mahalanobis_distance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + 3
    new = rng.normal(size=(7, 5)) * 4
    got = fitted(x, 4)(torch.from_numpy(new).float())[:, 0].numpy()  # four, and the fifth is the noise
    away = new - x.mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(x.T)), away) / 5
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_training_films_have_a_distance_of_about_1() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(40, 40)) * np.linspace(3, 0.1, 40)
    found = fitted(rng.normal(size=(3000, 40)) @ mixing, 10)
    assert float(found(torch.from_numpy(rng.normal(size=(500, 40)) @ mixing).float()).mean()) == pytest.approx(1, 0.1)


def test_thumbnails_ignore_brightness_and_contrast() -> None:
    gray = torch.from_numpy(np.random.default_rng(2).uniform(40, 200, size=(2, 1, 64, 64))).float()
    small = thumbnails(torch.nn.functional.avg_pool2d(gray, 8).repeat_interleave(8, 2).repeat_interleave(8, 3))
    assert small.shape == (2, CELLS * CELLS)
    assert small.mean(1).numpy() == pytest.approx([0, 0], abs=1e-5)
    assert small.std(1, correction=0).numpy() == pytest.approx([1, 1], abs=1e-5)
    torch.testing.assert_close(thumbnails(gray * 0.7 + 20), thumbnails(gray), atol=1e-4, rtol=0)


def test_a_blank_film_is_finite() -> None:
    assert torch.equal(thumbnails(torch.full((1, 1, 33, 33), 9.0)), torch.zeros(1, 64))


def test_too_few_films() -> None:
    with pytest.raises(SourceError, match="at least 50 training films, received 49"):
        fit_gaussian(np.zeros((49, 8)), 4)


def test_identical_training_films() -> None:
    found = fitted(np.ones((60, 8)), 4)
    far = found(torch.tensor([[1.0] * 8, [2.0] * 8]))[:, 0]
    assert far[0] == 0
    assert far[1] > 1e6


def test_a_missing_gate_and_a_broken_gate_file() -> None:
    card = Card(name="x", labels=("a", "b"), model=Model(format="torch", file="m", backbone="x"))
    assert load_ood_detector(Bundle("here", card, "", lambda name: b"")) is None  # type: ignore[arg-type]
    from lucency.files import sha256_bytes

    broken = card.model_copy(update={"gate": GatePart(file=OOD_FILE), "files": {OOD_FILE: sha256_bytes(b"no numbers")}})
    with pytest.raises(BundleError, match="holds no gate; run lucency gate again"):
        load_ood_detector(Bundle("here", broken, "", lambda name: b"no numbers"))  # type: ignore[arg-type]


def learned(films: int = 200, seed: int = 3) -> tuple[np.ndarray, np.ndarray, OODDetector]:
    """Thumbnails dark at the lower left, like a heart; features of a mixture."""
    rng = np.random.default_rng(seed)
    heart = np.zeros((8, 8))
    heart[5:, :4] = -2.0
    small = (heart + 0.5 * rng.normal(size=(films, 8, 8))).reshape(films, 64)
    features = rng.normal(size=(films, 12))
    return small, features, ood_detector_from_state(fit_numbers(small, features))


def test_flipped_thumbnails_are_detected() -> None:
    small, features, gate = learned()
    square = small.reshape(-1, 8, 8)
    for column, turned in ((1, square[:, ::-1]), (2, square[:, :, ::-1])):
        doubts = score(gate, np.ascontiguousarray(turned.reshape(len(small), 64)), features)[:, column]
        assert doubts.min() > 0 > score(gate, small, features)[:, column].max()


def test_crossfit_scores_equal_those_of_new_films() -> None:
    small, features, gate = learned(400)
    new, _, _ = learned(400, seed=4)
    others = crossfit(small, np.arange(len(small)))
    assert others.shape == (400, 3)
    fitted = score(gate, small, features)[:, :3]
    assert others[:, 0].mean() > fitted[:, 0].mean()  # nearer to what they fitted themselves
    fresh = score(gate, new, features)[:, :3]
    assert others.mean(axis=0) == pytest.approx(fresh.mean(axis=0), rel=0.1)


def test_the_exported_doubts_equal_the_measured_ones() -> None:
    _, _, gate = learned()
    gray, pooled = torch.rand(3, 1, 32, 32) * 255, torch.rand(3, 12) * 7
    doubt = gate(gray, pooled)
    assert doubt.shape == (3, len(CHECKS))
    same = score(gate, thumbnails(gray).double().numpy(), directions(pooled).double().numpy())
    np.testing.assert_allclose(doubt.numpy(), same, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gate(gray, 3 * pooled), doubt)  # the length says nothing
