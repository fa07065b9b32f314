"""Boxes and outlined lungs beside the films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.data import read_dataset
from lucency.errors import SourceError
from lucency.explain.boxes import boxed_films, outlined_lungs, with_boxes
from lucency.preprocess import Preprocess

HEADER = "path,x,y,width,height\n"


def write(root: Path) -> Path:
    (root / "films").mkdir(parents=True)
    for name in "abc":
        Image.fromarray(np.full((20, 40), 90, np.uint8)).save(root / "films" / f"{name}.png")
    (root / "films.csv").write_text(
        "path,label,patient\nfilms/a.png,normal,1\nfilms/b.png,pneumonia,2\nfilms/c.png,normal,3\n"
    )
    (root / "plain.csv").write_text("path,patient,age\nfilms/a.png,1,30\nfilms/b.png,2,40\n")
    (root / "boxes.csv").write_text("path,x,y,width,height\nfilms/a.png,0,0,20,10\nfilms/a.png,30,10,10,10\n")
    return root


def test_films_with_boxes_get_label_and_mask(tmp_path: Path) -> None:
    root = write(tmp_path)
    for films in (
        with_boxes(read_dataset(root / "films.csv"), root / "boxes.csv"),
        boxed_films(root / "boxes.csv", root / "plain.csv"),
    ):
        (sample,) = films.samples
        assert (sample.label, sample.patient) == (1, "1")
        assert sample.mask is not None
        mask = sample.mask()
        assert mask[:10, :20].all()
        assert mask[10:, 30:].all()
        assert mask.sum() == 300


@pytest.mark.parametrize("content", ["path,x\nfilms/a.png,1\n", HEADER, f"{HEADER}films/z.png,0,0,1,1\n"])
def test_invalid_box_tables_raise(tmp_path: Path, content: str) -> None:
    root = write(tmp_path)
    (root / "boxes.csv").write_text(content)
    with pytest.raises(SourceError):
        with_boxes(read_dataset(root / "films.csv"), root / "boxes.csv")


def test_lung_masks_are_preprocessed_like_the_film(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / "masks").mkdir()
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 10:20] = 255
    Image.fromarray(mask).save(root / "masks" / "b.png")
    (case,) = outlined_lungs(root, Preprocess(image_size=20, resize_mode="crop")).films
    assert case.lungs[:, :10].all()
    assert not case.lungs[:, 10:].any()
    Image.fromarray(mask[:5]).save(root / "masks" / "b.png")
    with pytest.raises(SourceError, match="size of its film"):
        outlined_lungs(root, Preprocess(image_size=20))
