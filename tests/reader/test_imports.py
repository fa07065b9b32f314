"""The reading world starts without PyTorch and the other heavy libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle, write_film

from .brightness_litert import write_brightness_litert

HEAVY = ("torch", "lightning", "captum", "scipy", "sklearn", "matplotlib", "pandas", "jinja2", "pydicom", "tensorboard")
TOLD = "import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def loaded(program: str) -> set[str]:
    """The packages that a process has imported when `program` ends."""
    command = [sys.executable, "-c", f"{program}\n{TOLD}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(printed.stdout.splitlines()[-1]))


def test_the_reader_starts_light() -> None:
    modules = loaded("import lucency.reader")
    assert "numpy" in modules
    assert modules.isdisjoint(HEAVY)


@pytest.mark.parametrize("write", [write_brightness_bundle, write_brightness_litert], ids=["onnx", "litert"])
def test_reading_a_film_and_drawing_its_map_stays_light(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / "bundle")
    write_film(tmp_path / "film.png", 150)
    words = ["read", str(tmp_path / "film.png"), "--bundle", str(tmp_path / "bundle"), "--map", str(tmp_path / "maps")]
    modules = loaded(f"from lucency.cli import run; assert run({words!r}) == 0")
    assert (tmp_path / "maps" / "film.map.png").is_file()
    assert modules.isdisjoint(HEAVY)


def test_help_starts_lighter_still() -> None:
    assert loaded("from lucency.cli import run; run(['--help'])").isdisjoint({*HEAVY, "numpy", "pydantic", "PIL"})
