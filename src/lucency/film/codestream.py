"""What a compressed picture says of itself, whatever the header around it says.

A decoder allocates memory and spends time by these numbers, so a small file can ask for any amount of either.
"""

from __future__ import annotations

import struct

import numpy as np

from lucency.film.limits import check_size, refusal

MAX_SCANS = 64
"""Of a progressive JPEG, each of which passes over the whole film; encoders write about ten."""

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG start-of-frame markers (T.81, table B.1) and that of JPEG-LS (T.87)."""


def check_scans(jpeg: bytes) -> None:
    """Refuse a JPEG of too many scans.

    Inside coded data no marker occurs (T.81, B.1.1.5), so this counts scans, and those of a thumbnail.
    """
    codes = np.frombuffer(jpeg, dtype=np.uint8)
    scans = np.count_nonzero((codes[:-1] == 0xFF) & (codes[1:] == 0xDA))  # five times as fast as bytes.count
    if scans > MAX_SCANS:
        raise refusal(f"a JPEG of {scans} scans", f"at most {MAX_SCANS} are read; save it as a baseline JPEG")


def check_coded(frame: bytes) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 frame that is too large or in colour by its own header.

    Raises:
        FilmError: see `check_size`; or more than one component, or too many scans.
    """
    at = frame.find(b"\xff\x4f\xff\x51")
    if frame.startswith(b"\xff\xd8"):
        check_scans(frame)
        coded = _jpeg(frame)
    else:
        coded = _jpeg2000(frame[at:]) if at >= 0 else None
    if coded is None:
        return  # RLE, whose size is the header's; or damaged, which its decoder will say
    height, width, components = coded
    check_size(height, width)
    if components != 1:
        raise refusal(f"a compressed frame of {components} colours", "send the original gray film")


def _jpeg2000(codestream: bytes) -> tuple[int, int, int] | None:
    """SIZ of T.800, A.5.1: the reference grid less its offset, and the number of components."""
    if len(codestream) < 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
    (components,) = struct.unpack_from(">H", codestream, 40)
    return bottom - top, right - left, components


def _jpeg(frame: bytes) -> tuple[int, int, int] | None:
    """Lines, samples and components of the frame header (T.81, B.2.2); segments before it are skipped."""
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_HEADERS:
            height, width, components = struct.unpack_from(">2HB", frame, at + 5)
            return height, width, components
        at += 1 if marker == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
