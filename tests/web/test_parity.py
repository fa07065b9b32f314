"""From a file's bytes to the verdict, the page says what the Python reader says."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from film.conftest import MakeDicom
from lucency.data.phantom import draw
from lucency.files import sha256_bytes
from lucency.film import open_film
from lucency.reader import Reader
from web.browser import read

pytestmark = pytest.mark.long

LOGIT = 1e-3
"""How far logits may be apart, in float32 as in int8, whose kernels count in whole numbers."""


def stored(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def drawn(make_dicom: MakeDicom) -> list[bytes]:
    """Phantoms in every form that a film comes in."""
    films = [draw(seed, ill=bool(seed % 2), side=320 + 40 * seed).film for seed in range(8)]
    wide = [(film.astype(np.uint16) * 257 + 91) & 65535 for film in films]
    return [
        *(stored(film, "PNG") for film in films),
        *(stored(film, "PNG") for film in wide[:3]),
        *(stored(film, "JPEG", quality=92) for film in films[:4]),
        stored(films[4], "JPEG", quality=80, progressive=True),
        *(make_dicom(film >> np.uint16(4), BitsStored=12, WindowCenter=2000, WindowWidth=3500) for film in wide[3:5]),
        make_dicom(255 - films[5], PhotometricInterpretation="MONOCHROME1"),
        make_dicom(films[6], ViewPosition="LL", BodyPartExamined="FOOT"),
        make_dicom(films[4], Modality="CT", RescaleSlope="8", RescaleIntercept="-1500"),
        make_dicom(films[4], Modality="CT"),
        stored(np.ascontiguousarray(films[1][::-1]), "PNG"),
        stored(np.ascontiguousarray(films[1][:, :140]), "PNG"),
        stored(np.full((200, 210), 77, np.uint8), "PNG"),
        stored(films[0][:100, :120].copy(), "PNG"),
        stored(films[2] // 16 + 100, "PNG"),
    ]


def compare(bundle: Path, told: list[dict[str, Any]], films: list[bytes]) -> None:
    reader = Reader.open(bundle)
    for number, (here, data) in enumerate(zip(told, films, strict=True)):
        assert "error" not in here, (number, here)
        film = open_film(data)
        there = reader.read(film)
        assert here["square"] == sha256_bytes(reader.preprocess(film).tobytes()), number
        assert here["logits"] == pytest.approx(there.logits.tolist(), abs=LOGIT), number
        assert here["map"] == pytest.approx(there.map.ravel().tolist(), abs=10 * LOGIT), number
        words = ("verdict", "called", "finding")
        assert {word: here[word] for word in words} == {word: getattr(there, word) for word in words}, number
        assert tuple(here["warnings"]) == there.warnings, number


def test_drawn_films_in_every_form(probe: tuple[Path, Any], make_dicom: MakeDicom) -> None:
    bundle, tab = probe
    films = drawn(make_dicom)
    told = read(tab, films)
    compare(bundle, told, films)
    assert len({words for here in told for words in here["warnings"]}) > 4  # or the comparison would say little


def test_real_films(probe: tuple[Path, Any], shared: Path) -> None:
    bundle, tab = probe
    paths = sorted((shared / "data/kermany_aspect").rglob("*.jp*g"))[::60]
    paths += sorted((shared / "data/originals").rglob("*.jp*g"))[::8]
    films = [path.read_bytes() for path in paths]
    assert len(films) > 25
    compare(bundle, read(tab, films), films)
