"""`lucency compare` on readers of brightness and on folders written by evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lucency.cli import run

from .brightness import write_brightness_bundle, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles that differ in their threshold, and films on which that matters."""
    root = tmp_path_factory.mktemp("compare")
    write_brightness_bundle(root / "first")
    write_brightness_bundle(root / "strict", threshold=0.99)
    write_films(root / "films", [50, 60, 70, 150], [140, 150, 210, 220])
    return root


def test_bundles_on_films(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(place / "films"), "--resamples", "100"]
    assert run(["compare", str(place / "first"), str(place / "strict"), *where, "--out", str(tmp_path / "c.json")]) == 0
    printed = capsys.readouterr().out
    assert "8 films, 8 patients" in printed
    # The first calls 150, 140, 150, 210 and 220; the strict one (logit 4.6, gray 201.5) only 210 and 220.
    assert "right: only A 2, only B 1" in printed
    output = json.loads((tmp_path / "c.json").read_text())
    (finding,) = output["findings"]
    assert finding["auroc"]["difference"] == 0
    assert finding["auroc"]["p"] == 1
    shares = {share["name"]: share for share in finding["shares"]}
    assert shares["sensitivity"]["difference"] == pytest.approx(0.5)
    assert shares["specificity"]["difference"] == pytest.approx(-0.25)
    assert shares["accuracy"]["balance"] == {"only_a": 2, "only_b": 1, "films": 8, "exact": 1.0, "mid_p": 0.625}
    assert output["thresholds"] == [0.5, 0.99]


def test_stored_predictions(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "strict"):
        judge = ["evaluate", str(place / name), "--data", str(place / "films"), "--resamples", "100"]
        assert run([*judge, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    files = [str(tmp_path / "first"), str(tmp_path / "strict" / "predictions.csv")]
    assert run(["compare", *files, "--resamples", "100", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["thresholds"] == [0.5, 0.99]
    assert output["findings"][0]["shares"][0]["balance"]["only_a"] == 2


def test_different_films_are_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_films(tmp_path / "others", [50, 60], [200, 210], first=50)
    for name, data in (("a", place / "films"), ("b", tmp_path / "others")):
        judge = ["evaluate", str(place / "first"), "--data", str(data), "--resamples", "100"]
        assert run([*judge, "--out", str(tmp_path / name)]) == 0
    assert run(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 4
    assert "8 are only in the first and 4 only in the second" in capsys.readouterr().err


def test_a_bundle_needs_films(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(place / "first"), str(place / "strict")]) == 2
    assert "name the films it should read with --data DIR" in capsys.readouterr().err
