"""What `pip install lucency` alone can do: read, verify, serve the web page; and how it names what is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lucency.bundle import DEFAULT
from lucency.errors import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from lucency.cli import run
sys.exit(run({arguments!r}))
"""
SERVING = {module for module, extra in EXTRAS.items() if extra == "serve"}


def without_extras(*arguments: str, blocked: frozenset[str] = frozenset(EXTRAS)) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(blocked=set(blocked), arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)


def test_every_extra_that_a_message_names_exists() -> None:
    assert set(EXTRAS.values()) <= set(PROJECT["optional-dependencies"])


def test_a_film_is_read_and_its_map_drawn(tmp_path: Path) -> None:
    film = next((DEFAULT / "golden").glob("*.png"))
    done = without_extras("read", str(film), "--map", str(tmp_path / "map"))
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "map").glob("*.png"))


def test_the_bundle_that_ships_is_verified() -> None:
    assert without_extras("bundle", "verify", str(DEFAULT)).returncode == 0


def test_the_page_is_written(tmp_path: Path) -> None:
    assert without_extras("web", "--out", str(tmp_path / "page")).returncode == 0


def test_serve_needs_its_own_extra_alone() -> None:
    pytest.importorskip("uvicorn", reason="needs lucency[serve]")
    done = without_extras("serve", "--bundle", "nowhere", blocked=frozenset(EXTRAS) - SERVING)
    assert (done.returncode, "nowhere" in done.stderr) == (7, True)


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("audit", "phantom:4"), "evaluate"),
        (("train", "phantom", "--data", "phantom:4", "--out", "runs/none"), "train"),
        (("serve",), "serve"),
        (("dicom", "film.dcm", "--out", "out"), "dicom"),
        (("score", "--manifest", "films", "--out", "out"), "score"),
        (("tune", "phantom", "--data", "phantom:4", "--out", "out"), "tune"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_missing_extra_is_named_in_one_line(arguments: tuple[str, ...], extra: str) -> None:
    done = without_extras(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("lucency: this needs ")
    assert f"pip install 'lucency[{extra}]'" in done.stderr
