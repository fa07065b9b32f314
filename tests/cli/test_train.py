"""`lucency train`: folds and seeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lucency.bundle import open_bundle
from lucency.cli import run
from lucency.data import read_dataset
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.recipe import DataSettings

TINY = """
name = "tiny"
[data]
image_size = 32
[model]
width = 0.35
[head]
epochs = 1
"""


def test_one_fold_trains_on_the_others(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    asked = ["train", str(recipe), "--data", "phantom:40", "--folds", "3", "--fold", "2"]
    assert run([*asked, "--out", str(tmp_path / "run")]) == 0
    rest, _ = Fold(2, 3).split(read_dataset("phantom:40"))
    train, _, _ = train_val_split(rest, DataSettings(image_size=32))
    assert open_bundle(tmp_path / "run").card.training.split_hash == split_hash(train, range(len(train)))


def test_fold_without_folds_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    assert run(["train", str(recipe), "--data", "phantom:40", "--fold", "2", "--out", str(tmp_path / "run")]) == 2
    assert "--folds" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", [["--seeds"], ["--seeds", "--folds", "3", "--fold", "2"]])
def test_seeds_need_cross_validation(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    assert run(["train", str(recipe), "--data", "phantom:40", *asked, "--out", str(tmp_path / "run")]) == 2
    assert "--seed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_folder_gets_a_new_one_and_leads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY)
    for folder in ("runs/tiny", "runs/tiny-2"):
        assert run(["train", "tiny.toml", "--data", "phantom:24"]) == 0
        assert open_bundle(Path(folder)).card.name == "tiny"
        wrote, counts, few, after = capfd.readouterr().out.strip().splitlines()[-4:]
        for name in ("model.safetensors", "card.json", "history.png", "history.csv", "checkpoints/head"):
            assert name in wrote
            assert Path(folder, name).exists()
        assert re.search(r"AUROC \d\.\d{3}( \(.*\))? on \d films", counts)
        assert "too few" in few
        assert f"lucency evaluate {folder} --data" in after


def test_resuming_needs_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    assert run(["train", str(tmp_path / "tiny.toml"), "--data", "phantom:24", "--resume"]) == 2
    assert "--out" in capsys.readouterr().err
