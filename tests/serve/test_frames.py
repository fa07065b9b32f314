"""Frames: what goes in comes out, by either way; an end is an end."""

from __future__ import annotations

import asyncio
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.serve.frames import Frame, head, receive, receive_async

FACTS = st.dictionaries(st.text(), st.text() | st.integers() | st.none())


def packed(frame: Frame) -> bytes:
    return head(*frame) + frame[1]


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
