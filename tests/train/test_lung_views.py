"""Cached views: the plan by class and setting, the cache, and equality with the whole network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lucency.data import read_dataset
from lucency.data.dataset import Dataset
from lucency.models import Classifier, build
from lucency.recipe import Recipe
from lucency.train.lung_augment import View
from lucency.train.lung_views import AUGMENTED, PAINTED, ViewNetwork, lung_views, pack, plan_views, unpack

RECIPE = Recipe.model_validate(
    {
        "name": "views",
        "data": {"image_size": 64, "imbalance": "none", "rare_weight": 3},
        "model": {"backbone": "mobilenet_v2", "width": 0.35, "depth": 5, "lung_crop": 96},
        "finetune": {"views": 2, "unfreeze_blocks": 2},
        "augment": {"opacities": 0.2, "noise": 3},
    }
)


@pytest.fixture(scope="module")
def films() -> Dataset:
    return read_dataset("phantom:12")


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    return build(RECIPE.model).eval()


def test_rarer_classes_and_settings_have_more_views(films: Dataset) -> None:
    """By hand: 6 normal films of which 2 stay, 6 with pneumonia: 2 views of each of these, 6 of each normal."""
    labels = films.label_array()
    kept = [*np.flatnonzero(labels == 0)[:2], *np.flatnonzero(labels == 1)[:6]]
    few = films.subset(kept)
    flat = replace(few.samples[0], columns={"setting": "flat"})
    few = replace(few, samples=(flat, *few.samples[1:]))
    plan = plan_views(few, RECIPE)
    of = [sum(view == (film, AUGMENTED) for view in plan) for film in range(8)]
    assert of == [18, 6, 2, 2, 2, 2, 2, 2]
    painted = [sum(view == (film, PAINTED) for view in plan) for film in range(8)]
    assert painted[2:] == [0] * 6
    assert painted[0] == pytest.approx(3 * painted[1], abs=1.5)
    assert sum(painted) / len(plan) == pytest.approx(0.2, abs=0.05)


def test_unpack_inverts_pack() -> None:
    activations, cells, opacity = torch.randn(2, 5, 8, 8), torch.rand(2, 4, 4), torch.rand(2, 4, 4)
    packed = pack(activations, View(torch.empty(0), cells, opacity))
    assert packed.shape == (2, 7, 8, 8)
    for one, other in zip(unpack(packed, 4), (activations, cells, opacity), strict=True):
        assert torch.equal(one, other)


def test_views_are_cached(films: Dataset, classifier: Classifier, tmp_path: Path) -> None:
    first = lung_views(classifier, films, RECIPE, tmp_path, augmented=True)
    files = sorted(tmp_path.rglob("*.npy"))
    again = lung_views(classifier, films.subset([3, 1, 2]), RECIPE, tmp_path, augmented=True)
    assert sorted(tmp_path.rglob("*.npy"))[: len(files)] == files
    assert len(first) == len(plan_views(films, RECIPE))
    assert set(first.labels.tolist()) == {0, 1}
    assert len(again) > 0


def test_the_cache_depends_on_the_augmentation(films: Dataset, classifier: Classifier, tmp_path: Path) -> None:
    few = films.subset([0, 1])
    other = RECIPE.model_copy(update={"augment": RECIPE.augment.model_copy(update={"noise": 9.0})})
    for recipe in (RECIPE, other):
        lung_views(classifier, few, recipe, tmp_path, augmented=False)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_view_network_equals_the_whole_network(films: Dataset, classifier: Classifier, tmp_path: Path) -> None:
    views = lung_views(classifier, films, RECIPE, tmp_path, augmented=False)
    network = ViewNetwork(classifier, RECIPE).eval()
    from lucency.data.dataset import decode_squares
    from lucency.preprocess import Preprocess

    squares = np.stack(decode_squares(films, Preprocess(64, "stretch")).pixels)
    with torch.no_grad():
        cached = network(views[torch.arange(len(views))])
        whole = classifier(torch.from_numpy(squares[:, None].astype(np.float32)))
    torch.testing.assert_close(cached, whole, atol=2e-3, rtol=1e-2)  # views are kept in half precision
