"""Forty classes, one of them of three films, train, are evaluated and read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.cli import run

RECIPE = """
name = "forty"
[data]
modality = "photograph"
image_size = 32
imbalance = "class_weights"
[model]
backbone = "mobilenet_v2"
width = 0.25
depth = 4
[head]
epochs = 2
"""


def test_forty_classes_of_which_one_has_three_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    for number in range(40):
        colour = rng.integers(0, 256, 3)
        (tmp_path / "films" / f"kind {number:02}").mkdir(parents=True)
        for film in range(3 if number == 7 else 5):
            picture = (colour + rng.normal(0, 20, (32, 32, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "films" / f"kind {number:02}" / f"{number}-{film}.png")
    (tmp_path / "forty.toml").write_text(RECIPE)
    recipe, data, made = str(tmp_path / "forty.toml"), ["--data", str(tmp_path / "films")], str(tmp_path / "run")
    assert run(["train", recipe, *data, "--out", made]) == 0
    assert run(["train", recipe, *data, "--folds", "5", "--out", str(tmp_path / "folds")]) == 4
    assert "class 'kind 07' has 3 patients, expected at least 5" in capsys.readouterr().err
    assert run(["evaluate", made, *data, "--split", "all", "--resamples", "100", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["films_per_label"]["kind 07"] == 3
    assert len(printed["labels"]) == 40
    low, high = next(
        (one["low"], one["high"])
        for one in printed["metrics"]
        if (one["name"], one["finding"]) == ("specificity", "kind 07")
    )
    assert low < high
    assert run(["read", str(tmp_path / "films" / "kind 07" / "7-0.png"), "--bundle", made, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["leading"]) == 3
    assert sum(printed["probabilities"]) == pytest.approx(1)
