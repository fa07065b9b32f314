"""`lucency lungs`, from films on disk to masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.cli import run
from lucency.data.phantom import draw


def test_masks_outlines_and_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phantom = draw((77, 1), True, side=160)
    Image.fromarray(phantom.film).save(tmp_path / "film.png")
    (tmp_path / "bad.png").write_bytes(b"not a film")
    films = [str(tmp_path / "film.png"), str(tmp_path / "bad.png")]
    assert run(["lungs", *films, "--out", str(tmp_path / "out"), "--json"]) == 3
    captured = capsys.readouterr()
    assert "bad.png" in captured.err
    found = json.loads(captured.out)
    assert found["doubts"] == []
    with Image.open(found["mask"]) as stored:
        mask = np.asarray(stored) > 0
    assert mask.shape == phantom.film.shape
    assert (mask & phantom.lungs).sum() > 0.9 * phantom.lungs.sum()  # the heart's part of the lungs is found as well
    assert found["share"] == pytest.approx(mask.mean())
    with Image.open(tmp_path / "out" / "film.outline.png") as outline:
        assert outline.size == phantom.film.shape[::-1]


def test_a_film_without_lungs_has_a_doubt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (90, 120), 40).save(tmp_path / "blank.png")
    assert run(["lungs", str(tmp_path / "blank.png"), "--out", str(tmp_path)]) == 0
    assert "doubt: " in capsys.readouterr().out
