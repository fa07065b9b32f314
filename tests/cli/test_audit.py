"""`lucency audit` from films to exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lucency.cli import run

from .brightness import write_film


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
