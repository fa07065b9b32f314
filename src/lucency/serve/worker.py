"""The process that reads: films arrive on stdin, readings leave on stdout, one at a time.

A process of its own because decoders are written in C: one that hangs or crashes takes its process with it.
Started as `python -m lucency.serve.worker '{"bundle": …}'`. Both sides talk in frames, without pickle: two big-endian
uint32, the lengths of both parts; then some facts as JSON; then bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lucency.errors import FilmError, LucencyError
from lucency.film import Film, open_film
from lucency.film.limits import at_most, limit_memory
from lucency.paint import overlay, png, shown
from lucency.reader import Reader, Reading

Frame = tuple[dict[str, Any], bytes]

LENGTHS = struct.Struct(">II")
MAX_OVERLAY = 2048
"""Pixels along the longer side of an overlay: 12 MiB of PNG at the very most."""


def frame_head(facts: dict[str, Any], content: bytes = b"") -> bytes:
    """A frame up to its bytes, which follow uncopied."""
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


def error_place(error: BaseException) -> str:
    """The error's type and place: its message is left out since it may quote a film's header."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in frames[::-1])


def main(settings: dict[str, Any]) -> None:
    """Open the bundle, send its digest, then answer until stdin ends."""
    requests, answers = _own_streams()
    try:
        reader = Reader.open(Path(settings["bundle"]))
    except LucencyError as error:
        _send(answers, ({"failed": str(error)}, b""))
        return
    _warm_up(reader)
    limit_memory(settings["pixels"])
    _send(answers, ({"digest": reader.bundle.digest}, b""))
    while (frame := receive(requests)) is not None:
        _set_alarm(2 * settings["seconds"])  # if the server dies meanwhile, nothing else stops a hanging decoder
        _send(answers, answer(reader, settings["pixels"], *frame))
        _set_alarm(0)


def answer(reader: Reader, max_pixels: int, request: dict[str, Any], film: bytes) -> Frame:
    """Read one film: ({"reading": …}, overlay or nothing), {"refused": why} or {"failed": where}.

    Args:
        reader: an open one.
        max_pixels: of a film.
        request: "film", its name in messages; "map", pixels along the longer side of its overlay, 0 for none; "label",
            of which label, else of the finding.
        film: the bytes of its file.
    """
    try:
        with at_most(max_pixels):
            opened = open_film(film, request["film"])
        reading = reader.read(opened)
        evidence = map_of(reading, request.get("label") or reading.finding)
        return {"reading": reading.to_json()}, _overlay(reader, opened, evidence, request["map"])
    except FilmError as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"refused": f"{request['film']}: needs more memory than a film of its size should; send a PNG"}, b""
    except Exception as error:
        return {"failed": error_place(error)}, b""


def map_of(reading: Reading, label: str) -> NDArray[np.float32]:
    """The evidence for that label of the card, (h, w); that of its finding for a task of one. Zero where withheld."""
    labels = reading.card.labels if reading.card and len(reading.maps) > 1 else ()
    if reading.withheld or label not in labels:
        return reading.map
    return np.asarray(reading.maps[labels.index(label)])


def _overlay(reader: Reader, film: Film, evidence: NDArray[np.float32], side: int) -> bytes:
    """The PNG, its longer side at most `side`: noise does not compress, and a film may have 40 megapixels."""
    if not side:
        return b""
    if not reader.has_map:
        raise FilmError("this reader's network gives no map; ask for the reading alone")
    picture = shown(film, reader.preprocess)
    picture.thumbnail((side, side))
    small = Film(np.asarray(picture)) if picture.mode == "L" else Film.of_rgb(np.asarray(picture))
    return png(overlay(small, evidence, reader.preprocess, lungs=reader.lung_outline(small)))


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for frames alone: what libraries print would break them, so it is discarded."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return requests, answers


def _send(stream: BinaryIO, frame: Frame) -> None:
    stream.write(frame_head(*frame))
    stream.write(frame[1])
    stream.flush()


def _warm_up(reader: Reader) -> None:
    """Do what the first film would wait for: allocate the network's buffers, import pydicom."""
    import lucency.film.dicom  # noqa: F401

    reader.read_batch(reader.preprocess(Film(np.zeros((1, 1), dtype=np.uint8)))[None])


def _set_alarm(seconds: float) -> None:
    """End this process after so many seconds, whatever it is doing; 0 cancels."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
