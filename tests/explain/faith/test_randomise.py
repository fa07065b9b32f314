"""Networks made random from the last layer on."""

from __future__ import annotations

import numpy as np
import torch

from lucency.explain.faith.randomise import depths, randomised
from lucency.models import blocks

from ..conftest import random_network

FILMS = np.random.default_rng(0).integers(0, 256, (6, 48, 48), dtype=np.uint8)


def changed(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def test_the_head_first_the_first_block_last() -> None:
    classifier = random_network()
    stops = depths(classifier)
    assert stops[0] == 0
    assert stops[-1] == len(blocks(classifier)) == 19
    for depth in (0, 1, 7, 19):
        network = randomised(classifier, depth, FILMS)
        assert changed(network.head, classifier.head)
        touched = [changed(a, b) for a, b in zip(blocks(network), blocks(classifier), strict=True)]
        assert touched == [number >= 19 - depth for number in range(19)]


def test_the_trained_network_is_left_as_it_was() -> None:
    classifier = random_network()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    randomised(classifier, 19, FILMS)
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not classifier.training


def test_signals_live_in_a_random_network() -> None:
    """Otherwise any method would pass: a dead network has an empty map."""
    network = randomised(random_network(), 19, FILMS)
    assert not network.training
    with torch.no_grad():
        found = network.activations(torch.from_numpy(FILMS[:, None].astype(np.float32)))
    assert float(found.std(dim=0).mean()) > 0.05


def test_another_draw_another_network_the_same_draw_the_same() -> None:
    classifier = random_network()
    one, again, other = (randomised(classifier, 3, FILMS, seed) for seed in (0, 0, 1))
    assert not changed(one, again)
    assert changed(one, other)
