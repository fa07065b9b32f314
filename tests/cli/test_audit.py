"""`lucency audit`, `drift` and `shift`, from films on disk to the page and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from html_pages import assert_whole_and_silent
from lucency.cli import run

from .brightness import write_brightness_bundle, write_film, write_films


def films(root: Path, *names: str) -> Path:
    """Films of one gray each, all different."""
    for gray, name in enumerate(names, 60):
        write_film(root / name, gray)
    return root


def test_a_leak_has_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = films(
        tmp_path / "films",
        "train/NORMAL/IM-0001-0001.png",
        "test/NORMAL/IM-0001-0002.png",
        "train/PNEUMONIA/person1_virus_1.png",
        "test/PNEUMONIA/person2_virus_2.png",
    )
    assert run(["audit", str(data), "--out", str(tmp_path / "out")]) == 4
    printed = capsys.readouterr()
    assert "Patients on both sides of a split: 1 patient with films in more than one split" in printed.out
    assert "results would be wrong: patients on both sides of a split" in printed.err
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["valid"] is False
    assert (tmp_path / "out" / "audit.html").read_text().startswith("<!doctype html>")


def test_dangers_alone_have_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = films(tmp_path / "films", "NORMAL/IM-0001-0001.png", "PNEUMONIA/person1_virus_1.png")
    assert run(["audit", str(data), "--out", str(tmp_path / "out"), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["valid"] is True
    assert {finding["key"] for finding in output["findings"]} == {"blank"}
    assert output == json.loads((tmp_path / "out" / "audit.json").read_text())


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 4
    assert "found nothing there; check the path" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unwritable_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = films(tmp_path / "films", "NORMAL/IM-0001-0001.png", "PNEUMONIA/person1_virus_1.png")
    (tmp_path / "file").write_text("")
    assert run(["audit", str(data), "--out", str(tmp_path / "file" / "out")]) == 10
    assert "cannot be written" in capsys.readouterr().err


def test_a_missing_extra_is_named_in_one_line(tmp_path: Path) -> None:
    """As after `pip install lucency` alone, without scikit-learn."""
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from lucency.cli import run\n"
        f"sys.exit(run(['audit', 'phantom:30', '--out', {str(tmp_path / 'out')!r}]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert output.returncode == 2
    assert output.stderr == "lucency: this needs sklearn: pip install 'lucency[evaluate]'\n"


@pytest.fixture(scope="module")
def drift_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; two folders of similar films; one of brighter films."""
    root = tmp_path_factory.mktemp("drift")
    write_brightness_bundle(root / "bundle")
    rng = np.random.default_rng(0)
    for name, more in {"before": 0, "same": 0, "brighter": 60}.items():
        normal, positive = rng.integers(60, 120, size=15) + more, rng.integers(110, 170, size=15) + more
        write_films(root / name, normal.tolist(), positive.tolist())
    return root


def drift(drift_root: Path, now: str, out: Path, *more: str) -> int:
    where = ["--reference", str(drift_root / "before"), "--now", str(drift_root / now), "--out", str(out)]
    return run(["drift", str(drift_root / "bundle"), *where, *more])


def test_similar_films_raise_no_alarm(drift_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(drift_root, "same", tmp_path) == 0
    output = capsys.readouterr().out
    assert "No shift found: 30 films of 30 patients against 30 films of 30 patients" in output
    assert "No shift found" in (tmp_path / "drift.html").read_text()


def test_brighter_films_raise_an_alarm(drift_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drift(drift_root, "brighter", tmp_path, "--json") == 1
    output = json.loads(capsys.readouterr().out)
    assert output == json.loads((tmp_path / "drift.json").read_text())
    shifted = {shift["name"] for shift in output["shifts"] if shift["alarm"]}
    assert {"mean gray", "score of pneumonia"} <= shifted
    assert "width / height" not in shifted
    assert output["called"]["now"]["pneumonia"] > output["called"]["reference"]["pneumonia"]
    page = (tmp_path / "drift.html").read_text()
    assert "Films have changed" in page
    assert "http" not in page.replace("http-equiv", "")


def test_too_few_patients_is_an_error(drift_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_films(tmp_path / "few", [60, 70], [150])
    assert drift(drift_root, str(tmp_path / "few"), tmp_path) == 4
    assert "expected at least 10 patients on each side, found 3" in capsys.readouterr().err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that reads brightness; films with the finding are brighter."""
    root = tmp_path_factory.mktemp("shift")
    write_brightness_bundle(root / "bundle")
    rng = np.random.default_rng(0)
    write_films(root / "films", rng.integers(60, 120, size=15).tolist(), rng.integers(130, 190, size=15).tolist())
    write_films(root / "copies", rng.integers(60, 61, size=4).tolist(), [140])
    return root


def shift(folder: Path, *more: str) -> int:
    return run(["shift", str(folder / "bundle"), "--data", str(folder / "films"), "--split", "all", *more])


def test_tone_lowers_a_reader_of_brightness(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shift(folder, "--only", "tone", "--json", "--bias", "--out", str(tmp_path)) == 0
    output = json.loads(capsys.readouterr().out)
    assert output == json.loads((tmp_path / "shift.json").read_text())
    assert_whole_and_silent((tmp_path / "shift.html").read_text())
    plain, tone = output["runs"][0]["figures"]
    assert (plain["condition"], plain["auroc"]) == ("plain", 1.0)
    assert tone["auroc"] < 0.5
    assert output["bias_only"]["films"] == 30


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shift(folder, "--only", "jpeg", "--donors", "same", "--pairs", str(folder / "copies")) == 0
    output = capsys.readouterr().out
    assert "of its own class: the control" in output
    assert "5 films in the other edition" in output


def test_titles_distinguish_folders_of_the_same_name(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_brightness_bundle(tmp_path / "other" / "bundle")
    assert shift(folder, str(tmp_path / "other" / "bundle"), "--only", "border", "--json") == 0
    output = json.loads(capsys.readouterr().out)
    assert [one["title"] for one in output["runs"]] == [f"{folder.name}/bundle", "other/bundle"]
    assert "--only border" in output["command"]  # the whole command, so that it can be repeated


def test_films_of_another_split_raise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shift", str(folder / "bundle"), "--data", str(folder / "films")]) != 0
    assert "lucency: " in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--donors", "mine"), ("--only", "sharp")])
def test_unknown_options_are_usage_errors(
    folder: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shift(folder, *option) == 2
    assert option[1] in capsys.readouterr().err
