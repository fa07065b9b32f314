"""`lucency report` from films on disk to a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from html_pages import assert_whole_and_silent
from lucency.cli import run

from .brightness import write_brightness_bundle, write_films


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on 13 films, one missed, one a false alarm, one unreadable."""
    root = tmp_path_factory.mktemp("report")
    write_brightness_bundle(root / "bundle")
    data = write_films(root / "<films>", [50, 60, 70, 80, 90, 150], [100, 180, 190, 200, 210, 220])
    (data / "NORMAL" / "IM-0900-0001.png").write_bytes(b"not a film")
    where = ["--data", str(data), "--out", str(root / "out"), "--resamples", "100"]
    assert run(["report", str(root / "bundle"), *where]) == 3
    return root / "out"


def test_written_files(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        "report.html",
        "model-card.md",
        "tripod-ai.md",
        "claim-2024.md",
        "model-facts.md",
        "report.json",
        "predictions.csv",
        "confusion.png",
        "roc.png",
        "pr.png",
        "reliability.png",
        "risk.png",
    }
    assert json.loads((written / "report.json").read_text())["films"] == 12


def test_the_page(written: Path) -> None:
    page = (written / "report.html").read_text()
    pictures = assert_whole_and_silent(page)
    assert len(pictures) == 5 + 2 * 2  # five curves; two errors, each with its map
    assert "Research use only. Not a medical device, not for diagnosis." in page
    assert "Of 100 films with pneumonia, it finds 83" in page
    assert "person1_bacteria_1.png" in page
    assert "IM-0006-0001.png" in page
    assert "1 films could not be read" in page
    assert "&lt;films&gt;" in page
    assert "<films>" not in page


def test_the_checklists_are_in_the_page_and_in_files(written: Path) -> None:
    page = (written / "report.html").read_text()
    for name, title in (("tripod-ai", "TRIPOD+AI"), ("claim-2024", "CLAIM 2024"), ("model-facts", "Model Facts")):
        assert title in page
        assert "the author's to fill" in (written / f"{name}.md").read_text()


def test_unknown_labels_are_an_error(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_films(tmp_path / "films", [60], [200])
    (data / "NORMAL").rename(data / "cat")
    (data / "PNEUMONIA").rename(data / "dog")
    bundle = written.parent / "bundle"
    assert run(["report", str(bundle), "--data", str(data), "--out", str(tmp_path / "out")]) == 4
    assert "expected the labels normal, pneumonia" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_cross_validated_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_films(tmp_path / "films", [50, 60, 70, 80, 90, 150], [100, 180, 190, 200, 210, 220])
    for fold in (1, 2):
        write_brightness_bundle(tmp_path / "run" / f"fold-{fold}")
    judge = ["evaluate", str(tmp_path / "run" / "fold-1"), "--data", str(data), "--resamples", "100"]
    assert run([*judge, "--out", str(tmp_path / "run")]) == 0
    where = ["--out", str(tmp_path / "out"), "--resamples", "100"]
    assert run(["report", str(tmp_path / "run"), "--data", str(data), *where]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Evaluated by cross-validation: 2 readers of one recipe" in page
    assert "person1_bacteria_1.png" in page
    others = write_films(tmp_path / "others", [50, 60], [200, 210], first=50)
    assert run(["report", str(tmp_path / "run"), "--data", str(others), *where]) == 4
    assert "12 of them are not there" in capsys.readouterr().err
