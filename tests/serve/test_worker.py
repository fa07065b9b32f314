"""What the reading process answers; in this process, without its pipes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency import NOTICE
from lucency.reader import Reader
from lucency.serve import worker
from lucency.serve.worker import answer

from .running import film

ASK = {"film": "film", "map": False}


@pytest.fixture(scope="module")
def reader(bundle: Path) -> Reader:
    return Reader.open(bundle)


def test_a_reading(reader: Reader) -> None:
    said, picture = answer(reader, 10**6, ASK, film(160))
    # (160 - 128) / 16 = 2, but for one pixel of 1,024 that is one gray darker.
    assert said["reading"]["logit"] == pytest.approx(2, abs=0.01)
    assert said["reading"]["film"] == "film"
    assert picture == b""


def test_an_overlay(reader: Reader) -> None:
    _, picture = answer(reader, 10**6, {**ASK, "map": True}, film(160, side=40))
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (40, 40)
        assert image.info["Description"] == NOTICE
        colours = np.asarray(image.convert("RGB")).astype(int)
    assert (colours[..., 0] > colours[..., 2]).all()  # evidence for the finding is yellow: red over blue


def test_broken_or_too_large(reader: Reader) -> None:
    said, _ = answer(reader, 10**6, ASK, b"GIF89a")
    assert said["refused"].startswith("film: found a GIF image")
    said, _ = answer(reader, 32 * 32 - 1, ASK, film(side=32))
    assert "32 x 32 pixels" in said["refused"]


def test_a_fault_tells_where_but_nothing_of_the_film(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("patient Doe^John")

    monkeypatch.setattr(worker, "open_film", fail)
    said, _ = answer(reader, 10**6, ASK, film())
    assert said["failed"].startswith("ValueError at test_worker.py:")
    assert "Doe" not in said["failed"]


def test_too_little_memory_is_a_refusal(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "open_film", fail)
    said, _ = answer(reader, 10**6, ASK, film())
    assert "takes more memory" in said["refused"]
