"""`lucency gate`, on a small untrained network and phantoms: what it fits and refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lucency.bundle import Card, Model, Square, Training, read_card, verify
from lucency.cli import run
from lucency.data import read_dataset
from lucency.data.splits import split_hash, train_val_split
from lucency.film import open_film
from lucency.models import build
from lucency.models.run import save_run
from lucency.reader import Reader
from lucency.recipe import DataSettings, ModelSettings

DATA = "phantom:160"
SETTINGS = {"image_size": 48, "validation": 0.4}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained run; the same with a gate; the same as if exported."""
    root = tmp_path_factory.mktemp("gate")
    films = read_dataset(DATA)
    learned, _, _ = train_val_split(films, DataSettings.model_validate(SETTINGS))
    torch.manual_seed(0)
    card = Card(
        name="tiny",
        labels=films.labels,
        preprocess=Square(image_size=48),
        model=Model(format="torch", file="m", backbone="mobilenet_v2", width=0.35),
        training=Training(
            recipe={"data": SETTINGS}, films=len(learned), split_hash=split_hash(learned, range(len(learned)))
        ),
    )
    save_run(root / "run", build(ModelSettings(backbone="mobilenet_v2", width=0.35), 1), card)
    assert run(["gate", str(root / "run"), "--data", DATA, "--out", str(root / "gated")]) == 0
    return root


@pytest.mark.long
def test_gate_writes_a_new_run_and_keeps_the_old_one(place: Path) -> None:
    card = verify(place / "gated")
    assert [check.name for check in card.gate.checks] == ["layout", "upside_down", "mirrored", "features"]
    assert all(check.alarms <= 0.01 for check in card.gate.checks)
    assert card.gate.file == "gate.safetensors"
    assert card.files["model.safetensors"] == read_card(place / "run").files["model.safetensors"]
    assert not read_card(place / "run").gate.checks


def test_phantoms_pass_and_other_pictures_are_uncertain(place: Path, tmp_path: Path) -> None:
    reader = Reader.open(place / "gated")
    films = [record.load() for record in read_dataset("phantom:20").samples]
    assert np.mean([reader.read(film).verdict == "uncertain" for film in films]) <= 0.1
    pixels = films[0].gray8()
    noise = np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8)
    for name, odd in {
        "upside": pixels[::-1],
        "left": np.rot90(pixels),
        "inverted": 255 - pixels,
        "noise": noise,
    }.items():
        Image.fromarray(np.ascontiguousarray(odd)).save(tmp_path / f"{name}.png")
        reading = reader.read(open_film(tmp_path / f"{name}.png"))
        assert reading.verdict == "uncertain", name
        assert reading.called in reader.card.labels
        assert reading.warnings


def test_films_of_another_run_are_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(place / "run"), "--data", "phantom:100", "--out", str(tmp_path / "out")]) == 4
    assert "films that the run was trained on, these are others" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_existing_bundle_is_not_overwritten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(place / "run"), "--data", DATA, "--out", str(place / "gated")]) == 10
    assert "holds a run already" in capsys.readouterr().err
