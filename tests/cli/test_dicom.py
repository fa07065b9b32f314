"""`lucency dicom`, from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from dicom.films import film, gray
from lucency.cli import run

from .brightness import write_brightness_bundle

pytest.importorskip("highdicom", reason="needs lucency[dicom]")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_brightness_bundle(tmp_path / "bundle")
    (tmp_path / "a.dcm").write_bytes(film(1))
    (tmp_path / "b.dcm").write_bytes(film(2, pixels=gray(96)))
    (tmp_path / "side.dcm").write_bytes(film(3, ViewPosition="LL"))
    return tmp_path


def answer(place: Path, *names: str) -> int:
    films = [str(place / name) for name in names if name.endswith(".dcm")]
    rest = [name for name in names if not name.endswith(".dcm")]
    return run(["dicom", *films, *rest, "--out", str(place / "out"), "--bundle", str(place / "bundle")])


def test_two_films(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(place, "a.dcm", "b.dcm") == 0
    told = capsys.readouterr().out
    assert ": pneumonia (0.50 or more)" in told
    assert ": normal (below 0.50)" in told
    assert told.splitlines()[-1] == "Research use only. Not for diagnosis."
    files = list((place / "out").iterdir())
    assert sorted(pydicom.dcmread(path).Modality for path in files) == ["OT", "OT", "SR", "SR"]
    assert not [path for path in files if "P7" in path.name or "1.2.3.4" in path.name]


def test_a_second_run_changes_nothing(place: Path) -> None:
    answer(place, "a.dcm")
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    answer(place, "a.dcm")
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before


def test_a_bad_film_costs_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(place, "side.dcm", "missing.dcm", "a.dcm", "--json") == 3
    side, missing, good = map(json.loads, capsys.readouterr().out.splitlines())
    assert "view LL" in side["error"]
    assert "missing.dcm: found no such file" in missing["error"]
    assert Path(good["report"]).is_file()
    assert good["verdict"] == "pneumonia"


def test_one_uid_names_one_film(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another patient, or other pixels, under a UID: refused by name, in one run and the next; nothing overwritten."""
    (place / "other.dcm").write_bytes(film(1, PatientID="P8", PatientName="Other^Patient"))
    (place / "pixels.dcm").write_bytes(film(1, pixels=gray(96)))
    assert answer(place, "a.dcm", "other.dcm", "pixels.dcm") == 3
    told = capsys.readouterr().err
    assert "other.dcm: found another film under a UID that was received before" in told
    assert "pixels.dcm: found another film" in told
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    assert len(before) == 2
    assert answer(place, "other.dcm") == 3
    assert answer(place, "a.dcm", "a.dcm") == 0  # a repeat of the same is harmless
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
