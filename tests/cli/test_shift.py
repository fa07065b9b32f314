"""`lucency shift`, from films on disk to the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from html_pages import assert_whole_and_silent
from lucency.cli import run

from .brightness import write_brightness_bundle, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that reads brightness; films with the finding are brighter."""
    root = tmp_path_factory.mktemp("shift")
    write_brightness_bundle(root / "bundle")
    rng = np.random.default_rng(0)
    write_films(root / "films", rng.integers(60, 120, size=15).tolist(), rng.integers(130, 190, size=15).tolist())
    write_films(root / "copies", rng.integers(60, 61, size=4).tolist(), [140])
    return root


def shift(place: Path, *more: str) -> int:
    return run(["shift", str(place / "bundle"), "--data", str(place / "films"), "--split", "all", *more])


def test_tone_lowers_a_reader_of_brightness(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shift(place, "--only", "tone", "--json", "--bias", "--out", str(tmp_path)) == 0
    output = json.loads(capsys.readouterr().out)
    assert output == json.loads((tmp_path / "shift.json").read_text())
    assert_whole_and_silent((tmp_path / "shift.html").read_text())
    plain, tone = output["runs"][0]["figures"]
    assert (plain["condition"], plain["auroc"]) == ("plain", 1.0)
    assert tone["auroc"] < 0.5
    assert output["bias_only"]["films"] == 30


def test_the_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shift(place, "--only", "jpeg", "--donors", "same", "--pairs", str(place / "copies")) == 0
    output = capsys.readouterr().out
    assert "of its own class: the control" in output
    assert "5 films in the other edition" in output


def test_titles_distinguish_folders_of_the_same_name(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_brightness_bundle(tmp_path / "other" / "bundle")
    assert shift(place, str(tmp_path / "other" / "bundle"), "--only", "border", "--json") == 0
    output = json.loads(capsys.readouterr().out)
    assert [one["title"] for one in output["runs"]] == [f"{place.name}/bundle", "other/bundle"]
    assert "--only border" in output["command"]  # the whole command, so that it can be repeated


def test_films_of_another_split_raise(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shift", str(place / "bundle"), "--data", str(place / "films")]) != 0
    assert "lucency: " in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--donors", "mine"), ("--only", "sharp")])
def test_unknown_options_are_usage_errors(
    place: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shift(place, *option) == 2
    assert option[1] in capsys.readouterr().err
