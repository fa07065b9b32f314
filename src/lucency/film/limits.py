"""What is accepted, what is too much, and how a refusal is worded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lucency.errors import FILM_DAMAGED, FILM_TOO_LARGE, FILM_UNSUPPORTED, FilmError

ACCEPTED = "PNG, JPEG or TIFF (8 or 16 bits, gray or RGB) or DICOM (one frame, gray or RGB)"

MAX_PIXELS = 100_000_000
"""No X-ray detector comes near; a decompression bomb does. Checked on the header, before anything is decoded."""
MAX_SIDE = 20_000
"""Pixels along one side, so that a film padded to a square stays within memory too."""
MAX_BYTES = 256 * 2**20
"""Of the file: 100 megapixels of 16 bits, uncompressed, with room for a header."""

NEAR_GRAY = 16
"""Channels that differ by no more than this many of 256 levels are gray, stored or compressed as colour."""

BYTES_PER_PIXEL = 40
"""Memory for reading and painting a film: as RGBA, its copies in gray and colour, its map in float32."""
SPARE_BYTES = 2**29
"""Memory besides, for decoders and libraries that are loaded late."""

_PIXELS = ContextVar("pixels", default=MAX_PIXELS)


@contextmanager
def at_most(pixels: int) -> Iterator[None]:
    """Refuse films of more than `pixels` inside the block, in this thread only: a server may want fewer."""
    before = _PIXELS.set(min(pixels, MAX_PIXELS))
    try:
        yield
    finally:
        _PIXELS.reset(before)


def limit_memory(pixels: int = MAX_PIXELS) -> None:
    """Let this process grow by what a film of `pixels` needs: beyond, allocations fail, and the film is refused.

    Private writable memory alone (RLIMIT_DATA), so that neither mapped files nor what threads reserve counts; on Linux.
    """
    if sys.platform != "linux":
        return
    import resource

    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = now + pixels * BYTES_PER_PIXEL + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def refusal(
    found: str, advice: str = "export the film again as one of these", code: str = FILM_UNSUPPORTED
) -> FilmError:
    """The one line a person reads: what was found, what would be accepted, what to do."""
    found = _one_line(found)
    return FilmError(f"found {found}; expected {ACCEPTED}; {advice}", code=code, found=found)


def damaged(kind: str, error: Exception) -> FilmError:
    """The refusal of a file whose decoder gave up; the decoder's own first line says where."""
    if isinstance(error, MemoryError):
        found, advice = f"a {kind} that needs more memory than a film of its size should", "send a PNG of it"
        return refusal(found, advice, FILM_TOO_LARGE)
    text = str(error).strip()
    # What stands in quotes is often a value of the header, which may name the patient.
    reason = text.splitlines()[0] if text and not {"'", '"'} & set(text) else type(error).__name__
    return refusal(
        f"a {kind} that cannot be decoded ({reason})", "it is damaged or cut short; copy it again", FILM_DAMAGED
    )


def check_size(height: int, width: int) -> None:
    """Refuse a film too large to decode.

    Raises:
        FilmError: more than MAX_PIXELS or `at_most`, longer than MAX_SIDE, or no pixel at all.
    """
    if height < 1 or width < 1:
        raise refusal(f"an image of {width} x {height} pixels")
    most = _PIXELS.get()
    if height * width > most or max(height, width) > MAX_SIDE:
        limit = f"at most {most / 10**6:g} megapixels and {MAX_SIDE} pixels a side"
        raise refusal(f"an image of {width} x {height} pixels", f"{limit} are read; make it smaller", FILM_TOO_LARGE)


def _one_line(text: str) -> str:
    """`text`, which may quote a damaged header, on one printable line of bounded length."""
    return printable(text if len(text) <= 200 else f"{text[:200]}…")


def printable(text: str) -> str:
    """`text` with anything that is not printable replaced: it may stand in a log, a terminal or a table."""
    return "".join(character if character.isprintable() else "?" for character in text)
