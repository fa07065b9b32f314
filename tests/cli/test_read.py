"""`lucency read`, `score` and `lungs`, from files to what a person and a machine are told."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pytest
from PIL import Image

from lucency import NOTICE
from lucency.cli import run
from lucency.data.phantom import draw
from lucency.paint import LUNGS
from reader.brightness_litert import write_brightness_litert

from .brightness import write_brightness_bundle, write_film


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_brightness_bundle(tmp_path / "bundle")
    write_film(tmp_path / "dark.png", 96)
    write_film(tmp_path / "bright.png", 160)
    return tmp_path


def read(place: Path, *words: str) -> int:
    return run(["read", *words, "--bundle", str(place / "bundle")])


def test_two_films(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(place, str(place / "dark.png"), str(place / "bright.png")) == 0
    printed = capsys.readouterr().out.splitlines()
    # Logits -2 and 2: 1 / (1 + e^2) = 0.119, and 0.881.
    assert printed[0] == f"{place / 'dark.png'}  pneumonia 0.119: normal (below 0.50)"
    assert printed[1] == f"{place / 'bright.png'}  pneumonia 0.881: pneumonia (0.50 or more)"
    assert "brightness (onnx), threshold 0.5 chosen by hand" in printed
    assert printed[-1] == "Research use only. Not for diagnosis."


def test_json_lines(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bad.png").write_bytes(b"nothing")
    assert read(place, str(place / "bright.png"), str(place / "bad.png"), "--json") == 3
    captured = capsys.readouterr()
    good, bad = map(json.loads, captured.out.splitlines())
    assert good["verdict"] == "pneumonia"
    assert good["probability"] == pytest.approx(0.881, abs=0.001)
    assert good["notice"] == NOTICE
    assert good["model"]["threshold"] == 0.5
    assert [(band["verdict"], band["high"]) for band in good["model"]["bands"]] == [("normal", 0.5), ("pneumonia", 1.0)]
    assert "expected PNG, JPEG or TIFF" in bad["error"]
    assert "1 of 2 films could not be read" in captured.err


def test_a_bad_film_costs_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(place, str(place / "missing.png"), str(place / "dark.png")) == 3
    captured = capsys.readouterr()
    assert ": normal (below 0.50)" in captured.out
    assert "missing.png: found no such file" in captured.err


def test_maps_of_films_with_the_same_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(place / "other" / "dark.png", 60)
    films = [str(place / "dark.png"), str(place / "other" / "dark.png")]
    assert read(place, *films, "--map", str(place / "maps"), "--json") == 0
    printed = [json.loads(line)["map"] for line in capsys.readouterr().out.splitlines()]
    assert printed == [str(place / "maps" / name) for name in ("dark.map.png", "dark-2.map.png")]
    with Image.open(printed[0]) as picture:
        assert (picture.size, picture.mode, picture.info["Description"]) == ((32, 32), "RGB", NOTICE)
        pixels = np.asarray(picture)
    # Evidence against is not drawn: the film shows as it is, but for the outline of what is taken for lungs.
    outline = (pixels == LUNGS).all(axis=-1)
    with Image.open(films[0]) as film:
        assert (pixels == np.asarray(film)[..., None]).all(axis=-1)[~outline].all()
    assert 0 < outline.mean() < 0.2


def test_a_doubt_is_reported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save(place / "blank.png")
    assert read(place, str(place / "blank.png")) == 0
    assert "no probability: the film shows nothing: every pixel is the same" in capsys.readouterr().out


def test_no_bundle_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["read", str(place / "dark.png"), "--bundle", str(place / "none")]) == 7
    assert "expected a bundle (a directory or .zip with card.json), found nothing" in capsys.readouterr().err


def test_a_film_with_a_map_is_decoded_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lucency.film.film

    decoded: list[bytes] = []
    plain = lucency.film.film.READERS["PNG"]
    monkeypatch.setitem(lucency.film.film.READERS, "PNG", lambda data: decoded.append(data) or plain(data))
    assert read(place, str(place / "dark.png"), "--map", str(place / "maps")) == 0
    assert len(decoded) == 1


def test_a_broken_tiff_among_threads_is_still_reported(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Two guards of stderr used to give each other's file back as stderr; then nothing at all was printed."""
    for number in range(8):
        Image.fromarray(np.full((300, 300), 20 * number, np.uint8)).save(
            place / f"{number}.tif", compression="tiff_lzw"
        )
    content = (place / "3.tif").read_bytes()
    (place / "3.tif").write_bytes(content[: len(content) // 2])
    assert read(place, *[str(place / f"{number}.tif") for number in range(8)], "--threads", "4") == 3
    printed = capfd.readouterr()
    assert printed.out.count(".tif  ") == 7
    assert "1 of 8 films could not be read" in printed.err
    assert "3.tif: found a TIFF that cannot be decoded" in printed.err


def test_a_folder_a_pattern_and_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(place / "more" / "deep" / "c.png", 96)
    (place / "more" / "deep" / "c.png").rename(place / "more" / "deep" / "no-suffix")
    (place / "more" / "notes.txt").write_text("no film")
    write_film(place / "more" / ".hidden" / "d.png", 96)
    assert read(place, str(place / "more"), str(place / "d*.png"), "--json") == 0
    printed = [json.loads(line)["film"] for line in capsys.readouterr().out.splitlines()]
    assert printed == [str(place / "more" / "deep" / "no-suffix"), str(place / "dark.png")]


def test_a_folder_without_films(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "empty").mkdir()
    assert read(place, str(place / "empty")) == 3
    assert "found none" in capsys.readouterr().err


def test_a_pattern_that_nothing_matches_costs_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(place, str(place / "none*.png"), str(place / "dark.png")) == 3
    captured = capsys.readouterr()
    assert ": normal (below 0.50)" in captured.out
    assert "none*.png: found no such file" in captured.err


def test_no_such_film_gets_no_probability(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save(place / "blank.png")
    assert read(place, str(place / "blank.png"), "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["probability"], printed["logit"], printed["called"]) == (None, None, None)
    assert (printed["verdict"], printed["reason"]) == ("uncertain", "the film shows nothing: every pixel is the same")


@pytest.fixture
def score_root(tmp_path: Path) -> Path:
    write_brightness_litert(tmp_path / "bundle")
    write_film(tmp_path / "films" / "dark.png", 96)
    write_film(tmp_path / "films" / "bright.png", 160)
    return tmp_path


def score(score_root: Path, *words: str) -> int:
    fixed = ["--bundle", str(score_root / "bundle"), "--out", str(score_root / "out"), "--workers", "1"]
    return run(["score", "--manifest", str(score_root / "films"), *fixed, *words])


def test_a_folder(score_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(score_root) == 0
    output = capsys.readouterr().out
    assert "2 films by brightness" in output
    assert "2 scored now" in output
    assert output.endswith("Research use only. Not for diagnosis.\n")
    rows = ds.dataset(str(score_root / "out"), format="parquet").to_table().to_pylist()
    assert [(row["film"], row["verdict"]) for row in rows] == [("bright.png", "pneumonia"), ("dark.png", "normal")]
    assert score(score_root) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_bad_film_is_a_row_and_an_exit_code(score_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (score_root / "films" / "bad.png").write_bytes(b"no film")
    assert score(score_root, "--json", "--engine", "plain") == 3
    output = json.loads(capsys.readouterr().out)
    assert (output["films"], output["failed"], output["failures"]) == (3, 1, {"not_a_film": 1})
    assert score(score_root) == 3, "also when nothing was left to do"


def test_the_key_file_is_private(score_root: Path) -> None:
    key = score_root / "key"
    assert score(score_root, "--no-paths", str(key)) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    first = key.read_bytes()
    assert score(score_root, "--no-paths", str(key)) == 0
    assert key.read_bytes() == first
    names = ds.dataset(str(score_root / "out"), format="parquet").to_table()["film"].to_pylist()
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
    score_root: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert score(score_root, *words) == 2
    assert message in capsys.readouterr().err


def test_a_short_key_is_refused(score_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (score_root / "key").write_bytes(b"1234")
    assert score(score_root, "--no-paths", str(score_root / "key")) == 2
    assert "expected a key of at least 16 bytes, received 4" in capsys.readouterr().err


def test_an_empty_folder_is_an_error(score_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", "--manifest", str(score_root / "none"), "--out", str(score_root / "out")]) == 4
    assert "found nothing there" in capsys.readouterr().err


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
