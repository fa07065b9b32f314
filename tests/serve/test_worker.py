"""The worker: its answers, in this process without pipes; and its frames."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lucency import NOTICE
from lucency.paint import BOX, FOR, LUNGS
from lucency.reader import Reader
from lucency.serve import worker
from lucency.serve.worker import MAX_OVERLAY, Frame, answer, frame_head, receive, receive_async

from .running import film

ASK = {"film": "film", "map": 0}


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
    _, picture = answer(reader, 10**6, {**ASK, "map": MAX_OVERLAY}, film(160, side=40))
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (40, 40)
        assert image.info["Description"] == NOTICE
        colours = np.asarray(image.convert("RGB")).astype(int)
    # The evidence is the same everywhere: 35 % of yellow (255, 222, 70) over gray 160, under contour, box and outline.
    drawn = np.any([(colours == colour).all(axis=-1) for colour in (FOR, BOX, LUNGS)], axis=0)
    assert np.abs(colours - (193, 182, 129))[~drawn].max() <= 1
    assert drawn.mean() < 0.3
    assert (colours[0] == BOX).all()


def test_an_overlay_is_bounded(reader: Reader) -> None:
    """6,000 × 200 pixels: the longer side becomes 2,048, the shorter 2048 · 200 / 6000 = 68."""
    stream = io.BytesIO()
    Image.fromarray(np.arange(1_200_000, dtype=np.uint32).reshape(200, 6000).astype(np.uint8)).save(stream, "PNG")
    _, picture = answer(reader, 10**7, {**ASK, "map": MAX_OVERLAY}, stream.getvalue())
    with Image.open(io.BytesIO(picture)) as image:
        assert image.size == (2048, 68)


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
    assert "needs more memory" in said["refused"]


FACTS = st.dictionaries(st.text(), st.text() | st.integers() | st.none())


def packed(frame: Frame) -> bytes:
    return frame_head(*frame) + frame[1]


@settings(deadline=None)
@given(st.lists(st.tuples(FACTS, st.binary()), max_size=4))
def test_blocking(frames: list[Frame]) -> None:
    stream = io.BytesIO(b"".join(map(packed, frames)))
    assert [receive(stream) for _ in frames] == frames
    assert receive(stream) is None


@settings(deadline=None)
@given(st.tuples(FACTS, st.binary()))
def test_asyncio(frame: Frame) -> None:
    async def there_and_back(content: bytes) -> Frame:
        stream = asyncio.StreamReader()
        stream.feed_data(content)
        stream.feed_eof()
        return await receive_async(stream)

    assert asyncio.run(there_and_back(packed(frame))) == frame
    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(there_and_back(packed(frame)[:-1]))


def test_by_hand() -> None:
    # {"a":1} takes 8 characters as Python writes it; big-endian lengths; then the bytes.
    assert packed(({"a": 1}, b"xyz")) == b'\x00\x00\x00\x08\x00\x00\x00\x03{"a": 1}xyz'
