"""A class of three pictures: it is trained with, and cross-validation says in one line why it cannot be split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.data import read_dataset
from lucency.data.splits import stratified_group_kfold
from lucency.errors import SourceError
from lucency.reader import Reader
from lucency.recipe import parse_recipe
from lucency.train import train_run
from reader.colours import lesion

RECIPE = {
    "name": "few",
    "data": {"modality": "skin", "image_size": 32, "validation": 0.3},
    "model": {"backbone": "mobilenet_v2", "width": 0.35, "depth": 4},
    "head": {"epochs": 1, "batch": 16, "lr": 0.01},
}


def test_a_class_of_three_pictures(tmp_path: Path) -> None:
    for number, (label, count) in enumerate({"mel": 10, "nv": 10, "rare": 3}.items()):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(count):
            pixels = np.roll(lesion(10 * number + i, 40), number, axis=2)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}-{i}.png")
    films = read_dataset(str(tmp_path / "data"))
    with pytest.raises(SourceError, match="rare") as caught:
        stratified_group_kfold(films, 5)
    assert "\n" not in str(caught.value)
    train_run(parse_recipe(RECIPE, "few"), films, tmp_path / "run", tmp_path / "cache")
    reading = Reader.open(tmp_path / "run").read(lesion(1, 40))
    assert len(reading.probabilities) == 3
    assert reading.probabilities.sum() == pytest.approx(1, abs=1e-5)
