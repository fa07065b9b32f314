"""The probe on features with and without a property."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.films import as_films, chest
from lucency.data.acquisition_pairs import Squares, squares_of
from lucency.models import Classifier
from lucency.models.classifier import Linear
from lucency.preprocess import Preprocess
from lucency.shift.probe import pooled, probe, series

N = 120


class Statistics(nn.Module):
    """Features: the film's gray, and its Laplacian if `sharp`."""

    def __init__(self, sharp: bool) -> None:
        super().__init__()
        self.sharp = sharp

    def forward(self, films: Tensor) -> Tensor:
        gray = films[:, :1]
        across = 4 * gray[:, :, 1:-1, 1:-1] - gray[:, :, :-2, 1:-1] - gray[:, :, 2:, 1:-1]
        laplacian = (across - gray[:, :, 1:-1, :-2] - gray[:, :, 1:-1, 2:]).abs()
        return torch.cat([gray[:, :, 1:-1, 1:-1], laplacian], 1) if self.sharp else gray


def network(sharp: bool) -> Classifier:
    return Classifier(Statistics(sharp), Linear(2 if sharp else 1), [0.5] * 3, [0.5] * 3).eval()


@pytest.fixture(scope="module")
def squares() -> Squares:
    rng = np.random.default_rng(0)
    labels = [k % 2 for k in range(N)]
    sharp = rng.uniform(0.5, 2, N) + np.array(labels)  # partly predicted by the class
    return squares_of(as_films([chest(k, sharp=float(s)) for k, s in enumerate(sharp)], labels))


@pytest.mark.long
def test_properties_in_the_features_are_predicted(squares: Squares) -> None:
    found = probe(network(sharp=True), Preprocess(224), squares)
    assert found["sharpness"] > 0.95
    assert found["tone"] > 0.5  # the chest's median, partly predicted by the film's mean
    assert "series" not in found


def test_class_alone_does_not_count_as_a_property(squares: Squares) -> None:
    labels = squares.films.label_array()
    known = np.array([one.sharpness for one in squares.acquisitions])
    assert np.corrcoef(labels, known)[0, 1] > 0.5
    assert probe(network(sharp=False), Preprocess(224), squares)["sharpness"] < 0.2


def test_pooled_is_the_input_of_the_head(squares: Squares) -> None:
    found = pooled(network(sharp=False), Preprocess(224), squares)
    assert found.shape == (N, 1)
    assert found[:, 0] == pytest.approx(squares.pixels.mean((1, 2)) / 127.5 - 1, rel=1e-3)


def test_series_of_normals() -> None:
    films = as_films([chest(k) for k in range(3)], [0, 0, 1])
    patients = ("IM-0115", "NORMAL2-IM-0383", "person12_virus")
    films = replace(films, samples=tuple(replace(r, patient=p) for r, p in zip(films.samples, patients, strict=True)))
    assert np.array_equal(series(films), [0, 1, np.nan], equal_nan=True)
