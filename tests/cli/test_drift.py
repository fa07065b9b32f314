"""`lucency drift`, from films on disk to the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lucency.cli import run

from .brightness import write_brightness_bundle, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; two folders of similar films; one of brighter films."""
    root = tmp_path_factory.mktemp("drift")
    write_brightness_bundle(root / "bundle")
    rng = np.random.default_rng(0)
    for name, more in {"before": 0, "same": 0, "brighter": 60}.items():
        normal, positive = rng.integers(60, 120, size=15) + more, rng.integers(110, 170, size=15) + more
        write_films(root / name, normal.tolist(), positive.tolist())
    return root


def drift(place: Path, now: str, out: Path, *more: str) -> int:
    where = ["--reference", str(place / "before"), "--now", str(place / now), "--out", str(out)]
    return run(["drift", str(place / "bundle"), *where, *more])


def test_similar_films_raise_no_alarm(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(place, "same", tmp_path) == 0
    output = capsys.readouterr().out
    assert "No shift found: 30 films of 30 patients against 30 films of 30 patients" in output
    assert "No shift found" in (tmp_path / "drift.html").read_text()


def test_brighter_films_raise_an_alarm(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(place, "brighter", tmp_path, "--json") == 1
    output = json.loads(capsys.readouterr().out)
    assert output == json.loads((tmp_path / "drift.json").read_text())
    shifted = {shift["name"] for shift in output["shifts"] if shift["alarm"]}
    assert {"mean gray", "score of pneumonia"} <= shifted
    assert "width / height" not in shifted
    assert output["called"]["now"]["pneumonia"] > output["called"]["reference"]["pneumonia"]
    page = (tmp_path / "drift.html").read_text()
    assert "Films have changed" in page
    assert "http" not in page.replace("http-equiv", "")


def test_too_few_patients_is_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_films(tmp_path / "few", [60, 70], [150])
    assert drift(place, str(tmp_path / "few"), tmp_path) == 4
    assert "expected at least 10 patients on each side, found 3" in capsys.readouterr().err
