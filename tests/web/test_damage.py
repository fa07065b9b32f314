"""Damage in JPEGs, which browsers decode without a word: the page's own look at them, run by Node."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lucency.data.phantom import draw

END = b"\xff\xd9"
Rng = np.random.Generator


def seen(films: list[bytes]) -> list[str]:
    """For each JPEG "whole", "leftover" or "refused"."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which is not installed")
    lines = "".join(base64.b64encode(film).decode() + "\n" for film in films)
    script = Path(__file__).with_name("jpeg_damage.mjs")
    ended = subprocess.run([node, script], input=lines, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def jpegs() -> list[bytes]:
    """Drawn films as encoders write them: gray and colour, sampled down or not, with own tables or restarts."""
    ways: list[dict[str, Any]] = [
        {"quality": 92},
        {"quality": 75, "optimize": True},
        {"quality": 60, "restart_marker_blocks": 5},
        {"quality": 90, "restart_marker_rows": 1},
        {"quality": 85, "progressive": True},
        {"quality": 95, "progressive": True, "restart_marker_rows": 2},
    ]
    films = []
    for seed, way in enumerate(ways):
        picture = Image.fromarray(draw(seed, ill=bool(seed % 2), side=301 + 40 * seed).film)
        for image in (picture, picture.convert("RGB")):
            for sampling in ("4:4:4", "4:2:0") if image.mode == "RGB" else ("4:4:4",):
                stream = io.BytesIO()
                image.save(stream, "JPEG", subsampling=sampling, **way)
                films.append(stream.getvalue())
    return films


def zeroed(film: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(film) // 3, len(film) // 2))
    return film[:at] + bytes(600) + film[at + 600 :]


def left_out(film: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(film) // 3, len(film) // 2))
    return film[:at] + film[at + 400 :]


def closed(film: bytes, rng: Rng) -> bytes:
    """Cut short, and an end put behind."""
    return film[: int(rng.integers(len(film) // 3, len(film) - 100))] + END


def test_whole_ones() -> None:
    assert set(seen(jpegs())) == {"whole"}


@pytest.mark.parametrize("damage", [zeroed, left_out, closed], ids=lambda damage: damage.__name__)
def test_damaged_ones(damage: Any) -> None:
    rng = np.random.default_rng(3)
    told = seen([damage(film, rng) for film in jpegs() for _ in range(10)])
    assert set(told) <= {"refused", "leftover"}


def test_a_progressive_one_without_its_last_scans() -> None:
    stream = io.BytesIO()
    Image.fromarray(draw(1, ill=True, side=300).film).save(stream, "JPEG", quality=85, progressive=True)
    film = stream.getvalue()
    scans = [at for at in range(len(film) - 1) if film[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 3
    assert seen([film[:at] + END for at in scans[1:]]) == ["refused"] * (len(scans) - 1)


def test_turned_bits_in_the_data() -> None:
    """A bit of a coefficient's value changes one block and cannot be seen; a bit of a code throws all that follows."""
    rng, broken = np.random.default_rng(4), []
    for film in jpegs():
        for _ in range(10):
            data = bytearray(film)
            for at in rng.integers(len(film) // 3, len(film) - 2, 40):
                data[at] ^= 1 << int(rng.integers(8))
            broken.append(bytes(data))
    told = seen(broken)
    assert set(told) <= {"refused", "leftover", "whole"}
    assert told.count("whole") <= 0.02 * len(told)


def test_a_real_one_cut_and_closed(shared: Path) -> None:
    films = sorted((shared / "data/faults").glob("01-*/*.jpeg"))
    told = dict(zip([film.stem[-5:] for film in films], seen([film.read_bytes() for film in films]), strict=True))
    assert told == {"cut60": "refused", "cut70": "refused", "whole": "whole"}
