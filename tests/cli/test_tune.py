"""`lucency tune` on a few drawn films, from the recipe to the best one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lucency.cli import run
from lucency.recipe import read_recipe

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
