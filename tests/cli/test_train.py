"""`lucency train`, `recipes` and `tune`: folds, seeds, what ships, a search from the recipe to the best one."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from pathlib import Path

import pytest

from lucency.bundle import open_bundle
from lucency.cli import run
from lucency.data import read_dataset
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import RecipeError
from lucency.recipe import DataSettings, parse_recipe, read_recipe, recipe_names
from sample_sources import write_folder

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


def test_a_card_claims_no_patients_where_films_name_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    films = write_folder(tmp_path / "films")
    assert run(["train", str(recipe), "--data", str(films), "--out", str(tmp_path / "run")]) == 0
    assert open_bundle(tmp_path / "run").card.training.patients is None
    capsys.readouterr()
    assert run(["bundle", "show", str(tmp_path / "run")]) == 0
    assert "10 films, patients not all known, source folder" in capsys.readouterr().out


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


def test_each_is_listed_with_what_it_trains_and_gave(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["name"] for one in listed] == list(recipe_names())
    gave = {one["name"]: one["gave"] for one in listed}
    assert "AUROC" in gave["lecture"]
    assert all(one["trains"] for one in listed)


def test_one_is_printed_as_a_file_to_begin_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "lecture"]) == 0
    assert parse_recipe(tomllib.loads(capsys.readouterr().out), "mine").name == "lecture"
    assert run(["recipes", "lectur"]) == RecipeError.exit_code
    assert "lecture" in capsys.readouterr().err


RECIPE = """
name = "tiny"
[data]
image_size = 32
validation = 0.3
[model]
width = 0.35
[head]
epochs = 1
batch = 16
[finetune]
epochs = 1
batch = 16
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (tmp_path / "space.toml").write_text('[space]\n"model.dropout" = { low = 0.0, high = 0.5 }\n')
    where = ["--data", "phantom:60", "--out", str(tmp_path / "search"), "--space", str(tmp_path / "space.toml")]
    return ["tune", str(tmp_path / "tiny.toml"), *where, "--folds", "2", "--judged", "1"]


@pytest.mark.long
def test_a_search_resumes_and_writes_the_best_recipe(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--trials", "1"]) == 0
    assert "1 trials (1 whole)" in capsys.readouterr().out
    assert run([*command, "--trials", "2", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    out = tmp_path / "search"
    rows = list(csv.DictReader(io.StringIO((out / "trials.csv").read_text())))
    assert [row["outcome"] for row in rows] == ["whole", "whole"]
    assert output["score"] == pytest.approx(max(float(row["score"]) for row in rows), abs=1e-4)
    assert read_recipe(out / "best.toml").model_dump(mode="json") == output["recipe"]
    for row in rows:
        assert (out / "runs" / row["runs"] / "fold-1" / "card.json").is_file()
        assert not (out / "runs" / row["runs"] / "fold-1" / "checkpoints").exists()


@pytest.mark.long
def test_each_compares_every_change_with_the_recipe(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.toml").write_text('[space]\n"finetune.ema" = [0.5]\n"model.dropout" = [0.2]\n')
    assert run([*command, "--each"]) == 0
    printed = capsys.readouterr().out.splitlines()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "search" / "trials.csv").read_text())))
    assert [row["changed"] for row in rows] == [
        "the recipe as it is",
        "finetune.ema 0.5",
    ]  # its dropout is 0.2 already
    assert printed[1].split()[-3:] == [rows[0]["score"], rows[0]["plain"], rows[0]["moved"]]
    gain = float(printed[2].split()[-1])
    assert gain == pytest.approx(float(rows[1]["score"]) - float(rows[0]["score"]), abs=2e-4)


def test_more_judged_folds_than_folds_is_a_usage_error(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--judged", "3"]) == 2
    assert "--judged: expected at most the 2 folds" in capsys.readouterr().err
