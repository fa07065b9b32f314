"""The randomisation test fails maps that do not depend on the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lucency.data import read_dataset
from lucency.explain.attribution import cam
from lucency.explain.faithfulness import Case, Cases, Estimate
from lucency.explain.randomization import (
    Cascade,
    cascade,
    compare_networks,
    depths,
    randomize_weights,
    similarity,
    with_shuffled_labels,
)
from lucency.models import blocks
from lucency.models.classifier import Classifier

from .conftest import random_network


def cases(count: int = 5, side: int = 64) -> Cases:
    rng = np.random.default_rng(2)
    nothing = np.zeros((side, side), bool)
    films = [
        rng.integers(0, 256, (side // 8, side // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(count)
    ]
    return Cases(tuple(Case(str(i), film, i, None, nothing) for i, film in enumerate(films)))


def the_film(_network: Classifier, gray: np.ndarray) -> np.ndarray:
    """An explainer that shows the film, whatever the network."""
    return gray[::4, ::4].astype(np.float32)


def test_a_map_of_the_film_fails() -> None:
    classifier, films = random_network(), cases()
    maps = [the_film(classifier, case.gray) for case in films.films]
    found = cascade("film", the_film, classifier, films, maps, 200)
    assert found.fails
    assert found.blocks[0] == 0
    assert found.blocks[-1] == 19
    assert [figure.value for figure in found.figures] == pytest.approx([1.0] * len(found.blocks))


def test_cam_passes() -> None:
    classifier, films = random_network(), cases()
    maps = [cam(classifier, case.gray) for case in films.films]
    found = cascade("cam", cam, classifier, films, maps, 200)
    assert not found.fails
    assert (found.half.value or 0) < 0.6
    assert (found.figures[-1].value or 0) < 0.6


@pytest.mark.parametrize(("low", "fails"), [(0.51, True), (0.49, False), (None, False)])
def test_similarity_after_the_later_half_decides(low: float | None, fails: bool) -> None:
    """As published for guided backpropagation: similar until the first layers are random too."""
    likenesses = [Estimate("blocks", value, floor, None, 9) for value, floor in ((0.99, 0.9), (0.83, 0.8), (0.71, low))]
    last = [Estimate("blocks", 0.54, 0.5, None, 9), Estimate("blocks", 0.15, 0.1, None, 9)]
    assert Cascade("guided", (0, 5, 10, 14, 19), (*likenesses, *last)).fails is fails


def test_compare_networks() -> None:
    classifier, films = random_network(), cases()
    maps = [cam(classifier, case.gray) for case in films.films]
    same = {figure.name: figure.value for figure in compare_networks("seeds", cam, [classifier], films, maps, 200)}
    assert same["seeds_rank"] == pytest.approx(1)
    assert same["seeds_structure"] == pytest.approx(1)
    other = {f.name: f.value for f in compare_networks("seeds", cam, [random_network(seed=5)], films, maps, 200)}
    assert (other["seeds_rank"] or 0) < 0.9


def test_similarity_ignores_sign() -> None:
    one, other = (np.random.default_rng(seed).normal(size=(16, 16)).astype(np.float32) for seed in (0, 1))
    assert similarity(one, one) == similarity(one, -one) == pytest.approx(1)
    assert similarity(one, other) < 0.5


FILMS = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def changed(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def test_randomisation_starts_at_the_head() -> None:
    classifier = random_network()
    stops = depths(classifier)
    assert stops[0] == 0
    assert stops[-1] == len(blocks(classifier)) == 19
    for depth in (0, 1, 7, 19):
        network = randomize_weights(classifier, depth, FILMS)
        assert changed(network.head, classifier.head)
        touched = [changed(a, b) for a, b in zip(blocks(network), blocks(classifier), strict=True)]
        assert touched == [number >= 19 - depth for number in range(19)]


def test_randomize_weights_copies_the_network() -> None:
    classifier = random_network()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    randomize_weights(classifier, 19, FILMS)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not classifier.training


def test_activations_of_a_random_network_vary() -> None:
    """Otherwise any method would pass: without activations the map is empty."""
    network = randomize_weights(random_network(), 19, FILMS)
    assert not network.training
    with torch.no_grad():
        found = network.activations(torch.from_numpy(FILMS[:, None].astype(np.float32)))
    assert float(found.std(dim=0).mean()) > 0.05


def test_randomisation_depends_on_the_seed_only() -> None:
    classifier = random_network()
    one, again, other = (randomize_weights(classifier, 3, FILMS, seed) for seed in (0, 0, 1))
    assert not changed(one, again)
    assert changed(one, other)


def test_shuffled_labels_keep_the_class_counts() -> None:
    films = read_dataset("phantom:200")
    dealt = with_shuffled_labels(films, 0)
    assert dealt.class_counts() == films.class_counts()
    assert [record.name for record in dealt.samples] == [record.name for record in films.samples]
    changed = (dealt.label_array() != films.label_array()).mean()
    assert 0.35 < changed < 0.6  # with 3 of 5 positive, 2 · 3/5 · 2/5 = 0.48 of the films change
    assert (with_shuffled_labels(films, 0).label_array() == dealt.label_array()).all()
    assert (with_shuffled_labels(films, 1).label_array() != dealt.label_array()).any()
    assert (films.label_array() == read_dataset("phantom:200").label_array()).all()
