"""The gate's two numbers: against a normal law's own distance, by hand, and at the limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.bundle import Bundle, Card, Gate, Model
from lucency.errors import BundleError, SourceError
from lucency.models.gate import CELLS, GATE, Gaussian, gate_from, load_gate, thumbnails
from lucency.train.gate import gaussian


def fitted(x: np.ndarray, directions: int) -> Gaussian:
    numbers = gaussian(x, directions)
    found = Gaussian(x.shape[1], len(numbers["directions"]))
    found.load_state_dict(numbers)
    return found


def test_with_all_directions_it_is_the_mahalanobis_distance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + 3
    new = rng.normal(size=(7, 5)) * 4
    got = fitted(x, 4)(torch.from_numpy(new).float())[:, 0].numpy()  # four, and the fifth is the noise
    away = new - x.mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(x.T)), away) / 5
    np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_a_film_of_the_kind_learned_from_has_about_one() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(40, 40)) * np.linspace(3, 0.1, 40)
    found = fitted(rng.normal(size=(3000, 40)) @ mixing, 10)
    assert float(found(torch.from_numpy(rng.normal(size=(500, 40)) @ mixing).float()).mean()) == pytest.approx(1, 0.1)


def test_thumbnails_know_no_brightness_and_no_contrast() -> None:
    gray = torch.from_numpy(np.random.default_rng(2).uniform(40, 200, size=(2, 1, 64, 64))).float()
    small = thumbnails(torch.nn.functional.avg_pool2d(gray, 4).repeat_interleave(4, 2).repeat_interleave(4, 3))
    assert small.shape == (2, CELLS * CELLS)
    assert small.mean(1).numpy() == pytest.approx([0, 0], abs=1e-5)
    assert small.std(1, correction=0).numpy() == pytest.approx([1, 1], abs=1e-5)
    torch.testing.assert_close(thumbnails(gray * 0.7 + 20), thumbnails(gray), atol=1e-4, rtol=0)


def test_a_blank_film_is_finite() -> None:
    assert torch.equal(thumbnails(torch.full((1, 1, 33, 33), 9.0)), torch.zeros(1, 256))


def test_too_few_films() -> None:
    with pytest.raises(SourceError, match="at least 50 films, received 49"):
        gaussian(np.zeros((49, 8)), 4)


def test_films_that_are_all_the_same_are_learned_and_another_is_far() -> None:
    found = fitted(np.ones((60, 8)), 4)
    far = found(torch.tensor([[1.0] * 8, [2.0] * 8]))[:, 0]
    assert far[0] == 0
    assert far[1] > 1e6


def test_a_run_without_a_gate_and_one_with_a_broken_file() -> None:
    card = Card(name="x", labels=("a", "b"), model=Model(format="torch", file="m", backbone="x"))
    assert load_gate(Bundle("here", card, "", lambda name: b"")) is None  # type: ignore[arg-type]
    from lucency.files import sha256_bytes

    broken = card.model_copy(update={"gate": Gate(file=GATE), "files": {GATE: sha256_bytes(b"no numbers")}})
    with pytest.raises(BundleError, match="holds no gate; run lucency gate again"):
        load_gate(Bundle("here", broken, "", lambda name: b"no numbers"))  # type: ignore[arg-type]


def test_the_gate_is_both_numbers_side_by_side() -> None:
    rng = np.random.default_rng(3)
    parts = {"layout": gaussian(rng.normal(size=(80, 256)), 6), "features": gaussian(rng.normal(size=(80, 12)), 3)}
    gate = gate_from({f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()})
    gray, pooled = torch.rand(3, 1, 32, 32) * 255, torch.rand(3, 12)
    doubt = gate(gray, pooled)
    assert doubt.shape == (3, 2)
    torch.testing.assert_close(doubt[:, :1], gate.layout(thumbnails(gray)))
    torch.testing.assert_close(doubt[:, 1:], gate.features(pooled))
