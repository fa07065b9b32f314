"""`lucency score`: output, exit codes, keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from lucency.cli import run
from reader.brightness_litert import write_brightness_litert

from .brightness import write_film


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_brightness_litert(tmp_path / "bundle")
    write_film(tmp_path / "films" / "dark.png", 96)
    write_film(tmp_path / "films" / "bright.png", 160)
    return tmp_path


def score(place: Path, *words: str) -> int:
    fixed = ["--bundle", str(place / "bundle"), "--out", str(place / "out"), "--workers", "1"]
    return run(["score", "--manifest", str(place / "films"), *fixed, *words])


def test_a_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(place) == 0
    output = capsys.readouterr().out
    assert "2 films by brightness" in output
    assert "2 scored now" in output
    assert output.endswith("Research use only. Not for diagnosis.\n")
    rows = ds.dataset(str(place / "out"), format="parquet").to_table().to_pylist()
    assert [(row["film"], row["verdict"]) for row in rows] == [("bright.png", "pneumonia"), ("dark.png", "normal")]
    assert score(place) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_bad_film_is_a_row_and_an_exit_code(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "films" / "bad.png").write_bytes(b"no film")
    assert score(place, "--json", "--engine", "plain") == 3
    output = json.loads(capsys.readouterr().out)
    assert (output["films"], output["failed"], output["failures"]) == (3, 1, {"not_a_film": 1})
    assert score(place) == 3, "also when nothing was left to do"


def test_the_key_file_is_private(place: Path) -> None:
    key = place / "key"
    assert score(place, "--no-paths", str(key)) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first = key.read_bytes()
    assert score(place, "--no-paths", str(key)) == 0
    assert key.read_bytes() == first
    names = ds.dataset(str(place / "out"), format="parquet").to_table()["film"].to_pylist()
    assert all(len(name) == 64 for name in names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--part", "4/3"], "expected K/N with K from 1 to N"),
        (["--part", "half"], "expected K/N with K from 1 to N"),
        (["--engine", "spark"], "expected one of local, ray, plain, received 'spark'"),
    ],
)
def test_invalid_options_are_usage_errors(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert score(place, *words) == 2
    assert message in capsys.readouterr().err


def test_a_short_key_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "key").write_bytes(b"1234")
    assert score(place, "--no-paths", str(place / "key")) == 2
    assert "expected a key of at least 16 bytes, received 4" in capsys.readouterr().err


def test_an_empty_folder_is_an_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", "--manifest", str(place / "none"), "--out", str(place / "out")]) == 4
    assert "found nothing there" in capsys.readouterr().err
