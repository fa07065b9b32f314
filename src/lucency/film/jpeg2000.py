"""JPEG 2000 decoded with room above and below its range, so that damage shows.

Its arithmetic coder makes some picture of any bytes, and decoders clip what leaves the range. A sound lossless frame
never does, and a sound lossy one does so by little and seldom; behind a wrong bit most do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOSSLESS_ROOM = 4
"""Bits that the range is widened by."""
FAR, SHARE = 1 / 16, 1e-4
"""Of the range and of the pixels: what a sound lossy frame leaves it by, at most; of those measured a quarter of it."""
_SIZ, _COD, _QCD, _FIRST_TILE = 0xFF51, 0xFF52, 0xFF5C, 0xFF90
_PRECISION = 40
"""Where the precision of the first component stands behind the marker (T.800, A.5.1)."""


def decode_jpeg2000(codestream: bytes) -> tuple[NDArray[np.uint16], str] | None:
    """uint16 (h, w) and "" or "overshoot", a key of DAMAGE; None where the range cannot be widened: decode it plainly.

    The stated precision grows, and in a lossy stream, whose step sizes depend on it, so do the exponents of the steps,
    while the guard bits shrink (T.800, E-3 and E-2): the coefficients stay what they are.
    """
    from openjpeg.utils import decode

    wide = _widened(codestream)
    if wide is None:
        return None
    stream, bits, room, is_lossless = wide
    values = decode(stream, j2k_format=0).astype(np.int32)
    if values.ndim != 2:
        return None
    values -= (1 << (bits + room - 1)) - (1 << (bits - 1))
    top = (1 << bits) - 1
    margin = 0 if is_lossless else int(FAR * top)
    outside = float(((values < -margin) | (values > top + margin)).mean())
    return values.clip(0, top).astype(np.uint16), "overshoot" if outside > (0 if is_lossless else SHARE) else ""


def _widened(codestream: bytes) -> tuple[bytes, int, int, bool] | None:
    """The codestream with a wider range, its own bits, those added, and whether it is lossless."""
    markers = _main_header(codestream)
    if set(markers) - {_SIZ, _COD, _QCD, 0xFF55, 0xFF57, 0xFF64} or not {_SIZ, _COD, _QCD} <= set(markers):
        return None  # steps of single components, regions of interest, high throughput…
    precision, steps = markers[_SIZ] + _PRECISION, markers[_QCD] + 4
    stated, style = codestream[precision], codestream[steps]
    wide, bits = bytearray(codestream), (stated & 127) + 1
    is_lossless = style & 31 == 0
    room = LOSSLESS_ROOM if is_lossless else style >> 5
    if stated & 128 or bits > 16 or not room:
        return None
    if not is_lossless:
        wide[steps] = style & 31
        end = markers[_QCD] + 2 + int.from_bytes(codestream[markers[_QCD] + 2 : markers[_QCD] + 4], "big")
        for at in range(steps + 1, end, 2):
            if wide[at] + (room << 3) > 255:
                return None
            wide[at] += room << 3
    wide[precision] += room
    return bytes(wide), bits, room, is_lossless


def _main_header(codestream: bytes) -> dict[int, int]:
    """Markers of the main header and where they stand (T.800, A.4); empty where it is damaged."""
    found: dict[int, int] = {}
    at = 2
    while at + 4 <= len(codestream):
        marker = int.from_bytes(codestream[at : at + 2], "big")
        if marker == _FIRST_TILE:
            return found
        found[marker] = at
        at += 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return {}
