"""The process that reads: film bytes come in on stdin, readings go out on stdout, one at a time (lucency.serve.frames).

A process of its own because decoders are written in C: one that hangs can be stopped only with its process, and one
that crashes takes its process with it. Started as `python -m lucency.serve.worker '{"bundle": …}'`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from lucency.errors import FilmError, LucencyError
from lucency.film import Film, open_film
from lucency.film.limits import at_most
from lucency.paint import Legend, overlay, png
from lucency.reader import Reader, Reading
from lucency.serve.frames import Frame, head, receive
from lucency.serve.log import place_of

BYTES_PER_PIXEL = 40
"""Memory that reading and painting a film may take: an RGBA film, its copies in gray and colour, its map in float32."""
SPARE = 2**29
"""And what decoders and libraries loaded late may take besides."""


def main(settings: dict[str, Any]) -> None:
    """Open the bundle, tell its digest, then answer until stdin ends."""
    asked, told = _own_streams()
    try:
        reader = Reader.open(Path(settings["bundle"]))
    except LucencyError as error:
        _send(told, ({"failed": str(error)}, b""))
        return
    _warm(reader)
    _bound_memory(settings["pixels"] * BYTES_PER_PIXEL + SPARE)
    _send(told, ({"digest": reader.bundle.digest}, b""))
    while (frame := receive(asked)) is not None:
        _alarm(2 * settings["seconds"])  # should the server die meanwhile, nobody else would stop a hanging decoder
        _send(told, answer(reader, settings["pixels"], *frame))
        _alarm(0)


def answer(reader: Reader, pixels: int, request: dict[str, Any], film: bytes) -> Frame:
    """Read one film: ({"reading": …}, overlay or nothing), {"refused": why} or {"failed": where}.

    Args:
        reader: an open one.
        pixels: that a film may have at most.
        request: "film", what messages call it; "map", whether an overlay is wanted.
        film: the bytes of its file.
    """
    try:
        with at_most(pixels):
            opened = open_film(film, request["film"])
        reading = reader.read(opened)
        return {"reading": reading.to_json()}, _drawn(reader, opened, reading) if request["map"] else b""
    except FilmError as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {
            "refused": f"{request['film']}: takes more memory than a film of its size should; send a plain PNG"
        }, b""
    except Exception as error:
        return {"failed": place_of(error)}, b""


def _drawn(reader: Reader, film: Film, reading: Reading) -> bytes:
    return png(overlay(film, reading.map, reader.preprocess, Legend(finding=reading.finding)))


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout for us alone: what a library prints would break the frames, so it goes nowhere."""
    asked, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return asked, told


def _send(told: BinaryIO, frame: Frame) -> None:
    told.write(head(*frame))
    told.write(frame[1])
    told.flush()


def _warm(reader: Reader) -> None:
    """Do once what the first film would wait for: build the network's buffers, import pydicom."""
    import numpy as np

    import lucency.film.dicom  # noqa: F401

    side = reader.preprocess.image_size
    reader.read_batch(np.zeros((1, side, side), dtype=np.uint8))


def _bound_memory(more: int) -> None:
    """Let this process grow by `more` bytes; beyond, allocations fail and the film is refused."""
    if sys.platform != "linux":
        return
    import resource

    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = now + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def _alarm(seconds: float) -> None:
    """End this process after so many seconds, whatever it is doing; 0 calls it off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
