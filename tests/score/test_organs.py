"""Bulk reading with several classes in colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.reader import Reader
from lucency.score import SCHEMA, score_batch
from reader.colours import lesion, write_colour_bundle


def test_every_class_has_its_probability_and_odd_pictures_their_reason(tmp_path: Path) -> None:
    reader = Reader.open(write_colour_bundle(tmp_path / "b", "skin", tuple(f"kind {number}" for number in range(40))))
    pictures = {"good.png": "RGB", "gray.png": "L", "cmyk.jpg": "CMYK", "alpha.png": "RGBA"}
    for name, mode in pictures.items():
        Image.fromarray(lesion(1, 40)).convert(mode).save(tmp_path / name)
    table = score_batch([str(tmp_path / name) for name in pictures], reader)
    assert table.schema == SCHEMA
    good, gray, cmyk, alpha = table.to_pylist()
    there = reader.read(lesion(1, 40))
    assert good["probabilities"] == pytest.approx(there.probabilities.tolist())
    assert good["finding"] == f"kind {int(np.argmax(there.probabilities))}"
    assert {name: value for name, value in alpha.items() if name != "film"} == {
        name: value for name, value in good.items() if name != "film"
    }
    assert (gray["verdict"], gray["probabilities"], gray["probability"]) == ("uncertain", None, None)
    assert "has no colour" in gray["warnings"][0]
    assert cmyk["error_kind"] == "unreadable"
    assert "CMYK" in cmyk["error"]
