"""Cached views of lungs and of whole pictures: the plan, the cache, and equality with the whole network."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from lucency.data import read_dataset
from lucency.data.dataset import Dataset, decode_squares, preprocess_of
from lucency.errors import RecipeError, SourceError
from lucency.film import open_film
from lucency.models import Classifier, build
from lucency.reader import Reader
from lucency.recipe import Recipe, parse_recipe
from lucency.train import cached_views as module
from lucency.train import train_run
from lucency.train.augment import planes_of
from lucency.train.cached_views import (
    AUGMENTED,
    PAINTED,
    ViewNetwork,
    cached_views,
    pack,
    plan_views,
    planned_labels,
    unpack,
)
from lucency.train.dataloader import Batch
from lucency.train.lung_augment import View
from lucency.train.module import ClassifierModule, mix
from lucency.train.run import make_loss
from reader.colours import lesion

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
    first = cached_views(classifier, films, RECIPE, tmp_path, augmented=True)
    files = sorted(tmp_path.rglob("*.npy"))
    again = cached_views(classifier, films.subset([3, 1, 2]), RECIPE, tmp_path, augmented=True)
    assert sorted(tmp_path.rglob("*.npy"))[: len(files)] == files
    assert len(first) == len(plan_views(films, RECIPE))
    assert set(first.labels.tolist()) == {0, 1}
    assert len(again) > 0


def test_the_cache_depends_on_the_augmentation(films: Dataset, classifier: Classifier, tmp_path: Path) -> None:
    few = films.subset([0, 1])
    other = RECIPE.model_copy(update={"augment": RECIPE.augment.model_copy(update={"noise": 9.0})})
    for recipe in (RECIPE, other):
        cached_views(classifier, few, recipe, tmp_path, augmented=False)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_view_network_equals_the_whole_network(films: Dataset, classifier: Classifier, tmp_path: Path) -> None:
    views = cached_views(classifier, films, RECIPE, tmp_path, augmented=False)
    network = ViewNetwork(classifier, RECIPE).eval()
    squares = np.stack(decode_squares(films, preprocess_of(RECIPE.data)).pixels)
    with torch.no_grad():
        cached = network(views[torch.arange(len(views))])
        whole = classifier(torch.from_numpy(squares[:, None].astype(np.float32)))
    torch.testing.assert_close(cached, whole, atol=2e-3, rtol=1e-2)  # views are kept in half precision


COUNTS = {"bcc": 6, "mel": 3, "nv": 12}
SKIN = parse_recipe(
    {
        "name": "skin",
        "data": {"modality": "skin", "image_size": 32, "resize_mode": "crop", "validation": 0.3},
        "model": {"backbone": "mobilenet_v2", "width": 0.35, "depth": 5},
        "head": {"epochs": 0},
        "finetune": {
            "epochs": 2,
            "batch": 16,
            "lr": 0.002,
            "batch_norm": "train",
            "ema": 0.9,
            "unfreeze_blocks": 2,
            "views": 2,
            "max_views": 5,
            "mixup": 0.3,
        },
        "augment": {"canvas": 40, "rotate": 180, "flip": "both", "tint": 0.1, "sharpness": [-1, 1], "noise": 4},
    },
    "skin",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Drawn lesions of three classes, unlike in colour."""
    root = tmp_path_factory.mktemp("skin")
    for shift, (label, count) in enumerate(COUNTS.items()):
        (root / label).mkdir()
        for number in range(count):
            pixels = np.roll(lesion(100 * shift + number, 40), shift, axis=2)
            Image.fromarray(pixels).save(root / label / f"{label}{number}.png")
    return read_dataset(str(root))


def network(recipe: Recipe, findings: int = 3) -> Classifier:
    torch.manual_seed(0)
    return build(recipe.model, findings).eval()


def test_rarer_classes_have_more_views_up_to_a_limit(pictures: Dataset) -> None:
    """By hand: 2 views of 12 pictures, 4 of 6, and for 3 not 8 but 5; the loss weighs the rest: n / (3 n_c)."""
    plan = plan_views(pictures, SKIN)
    labels = planned_labels(pictures, plan)
    assert np.bincount(labels).tolist() == [24, 15, 24]
    weights = make_loss(pictures, SKIN, SKIN.finetune, labels).objective.class_weights
    assert weights is not None
    assert weights.tolist() == pytest.approx([63 / 72, 63 / 45, 63 / 72])


@pytest.mark.parametrize("modality", ["skin", "mri_slice"])
def test_views_of_whole_pictures_equal_the_whole_network(pictures: Dataset, tmp_path: Path, modality: str) -> None:
    data = {**SKIN.data.model_dump(), "modality": modality}
    recipe = parse_recipe({"name": "plain", "data": data, "finetune": {"views": 1, "unfreeze_blocks": 15}}, "plain")
    classifier = network(recipe)
    squares = torch.from_numpy(np.stack(decode_squares(pictures, preprocess_of(recipe.data)).pixels))
    with torch.no_grad():
        whole = classifier(planes_of(squares).float())
        for augmented in (False, True):  # the second draws nothing, so that views are the pictures themselves
            views = cached_views(classifier, pictures, recipe, tmp_path, augmented)
            films = [film for film, _ in plan_views(pictures, recipe)] if augmented else range(len(pictures))
            found = ViewNetwork(classifier, recipe).eval()(views[torch.arange(len(views))])
            torch.testing.assert_close(found, whole[list(films)], atol=2e-2 if augmented else 2e-3, rtol=2e-2)


def test_an_interrupted_cache_is_continued(pictures: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", 30)  # three shards for 63 views
    classifier, original = network(SKIN), module._write
    whole = cached_views(classifier, pictures, SKIN, tmp_path / "whole", augmented=True)
    assert len(list((tmp_path / "whole").rglob("*.npy"))) == 3

    def stop(*arguments: Any) -> None:
        original(*arguments)
        if arguments[5] == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        cached_views(classifier, pictures, SKIN, tmp_path / "again", augmented=True)
    assert len(list((tmp_path / "again").rglob("*.npy"))) == 1
    monkeypatch.setattr(module, "_write", original)
    again = cached_views(classifier, pictures, SKIN, tmp_path / "again", augmented=True)
    every = torch.arange(len(whole))
    assert torch.equal(whole[every], again[every])


def test_a_damaged_picture_costs_no_other(pictures: Dataset, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    load = partial(open_film, tmp_path / "broken.png")
    broken = replace(pictures.samples[0], path=tmp_path / "broken.png", load=load)
    damaged = replace(pictures, samples=(broken, *pictures.samples[1:]))
    for _ in range(2):  # the second time, only the damaged one is missing
        views = cached_views(network(SKIN), damaged, SKIN, tmp_path / "cache", augmented=True)
        assert (len(views), len(views.unreadable)) == (59, 1)
    with pytest.raises(SourceError, match="none of 1 could be read"):
        cached_views(network(SKIN), damaged.subset([0]), SKIN, tmp_path / "cache", augmented=True)


@pytest.mark.long
def test_a_run_on_views_resumes_to_the_same_weights(
    pictures: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_run(SKIN, pictures, tmp_path / "whole", tmp_path / "cache")
    original = ClassifierModule.on_validation_epoch_end

    def stop(self: ClassifierModule) -> None:
        if self.current_epoch == 1:
            raise InterruptedError("pulled the plug")
        original(self)

    monkeypatch.setattr(ClassifierModule, "on_validation_epoch_end", stop)
    with pytest.raises(Exception, match="pulled the plug"):
        train_run(SKIN, pictures, tmp_path / "run", tmp_path / "cache")
    monkeypatch.undo()
    train_run(SKIN, pictures, tmp_path / "run", tmp_path / "cache", resume=True)
    one, other = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "run"))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert len(Reader.open(tmp_path / "run").read(lesion(1, 40)).probabilities) == 3


def test_several_findings_are_refused(pictures: Dataset, tmp_path: Path) -> None:
    several = replace(pictures, task="multilabel")
    with pytest.raises(RecipeError, match="one class a film, received findings bcc, mel, nv"):
        train_run(SKIN, several, tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def test_mixup_mixes_pairs() -> None:
    """With inputs that are their labels, a mixed input is share · own label + (1 - share) · the partner's."""
    labels = torch.arange(8)
    mixed, partners, share = mix(Batch(labels[:, None].float(), labels), 0.3)
    assert sorted(partners.tolist()) == labels.tolist()
    assert 0.5 <= share <= 1
    torch.testing.assert_close(mixed.inputs[:, 0], share * labels + (1 - share) * partners)
    assert torch.equal(mixed.labels, labels)
