"""What server and reading processes say to each other: some facts as JSON, and some bytes. No pickle.

A frame is two big-endian uint32, the lengths of both, then the facts, then the bytes.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, BinaryIO

LENGTHS = struct.Struct(">II")
Frame = tuple[dict[str, Any], bytes]


def head(facts: dict[str, Any], content: bytes = b"") -> bytes:
    """A frame up to its bytes, which follow as they are, uncopied."""
    text = json.dumps(facts).encode()
    return LENGTHS.pack(len(text), len(content)) + text


def receive(stream: BinaryIO) -> Frame | None:
    """The next frame of a blocking stream; None at its end."""
    lengths = stream.read(LENGTHS.size)
    if len(lengths) < LENGTHS.size:
        return None
    text, content = LENGTHS.unpack(lengths)
    facts = stream.read(text)
    return json.loads(facts), stream.read(content)


async def receive_async(stream: asyncio.StreamReader) -> Frame:
    """The next frame of an asyncio stream.

    Raises:
        asyncio.IncompleteReadError: the other side has ended.
    """
    text, content = LENGTHS.unpack(await stream.readexactly(LENGTHS.size))
    facts = await stream.readexactly(text)
    return json.loads(facts), await stream.readexactly(content)
