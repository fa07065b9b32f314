"""docs/mobile.md and the ports' pages name files and functions that exist, and the shapes of the bundle that ships."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lucency.bundle import DEFAULT
from lucency.bundle.store import GOLDEN, parse_golden

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/mobile.md", *ROOT.glob("ports/*/README.md")]
GUIDE = PAGES[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:ports|src|tests|app|Sources|Tests|docs)/[\w./-]+)`", text)
    assert [name for name in named if not any((base / name).exists() for base in (ROOT, page.parent))] == []
    code = [path for kind in ("kt", "swift") for path in ROOT.glob(f"ports/*/**/*.{kind}")]
    assert set(re.findall(r"`(\w+\.(?:kt|swift))`", text)) <= {path.name for path in code}


def test_every_function_that_is_named_is_in_both_ports() -> None:
    kotlin = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("ports/android/**/main/**/*.kt"))
    swift = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("ports/ios/Sources/**/*.swift"))
    for name in ("upright", "gray", "prepare", "calibrated", "verdict", "reasons", "bands", "usual"):
        assert f"`{name}`" in GUIDE
        assert f"fun {name}(" in kotlin
        assert f"func {name}(" in swift


def test_shapes_and_sizes_are_those_of_the_bundle_that_ships() -> None:
    golden = parse_golden((DEFAULT / GOLDEN).read_bytes(), "default").films[0]
    assert f"| `map` | (1, {len(golden.maps[0])}, {len(golden.maps[0][0])}, {len(golden.maps)}) |" in GUIDE
    for name in ("default", "int8"):
        size = (DEFAULT.parent / name / "model.tflite").stat().st_size / 1e6
        assert re.search(rf"pretrained/{name}` \|.*\| {size:.2f} MB \|", GUIDE)
