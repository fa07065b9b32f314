"""How large a compressed picture says it is, whatever the DICOM header around it says."""

from __future__ import annotations

import struct

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG start-of-frame markers (T.81, table B.1) and that of JPEG-LS (T.87)."""


def coded_size(pixel_data: bytes) -> tuple[int, int] | None:
    """(height, width) by the first JPEG, JPEG-LS or JPEG 2000 header in `pixel_data`; None where there is none.

    A decoder allocates by this header, so a small file can ask for any amount of memory.
    """
    jpeg2000 = pixel_data.find(b"\xff\x4f\xff\x51")
    jpeg = pixel_data.find(b"\xff\xd8\xff")
    if jpeg2000 >= 0 and (jpeg < 0 or jpeg2000 < jpeg):
        return _jpeg2000_size(pixel_data[jpeg2000:])
    return _jpeg_size(pixel_data, jpeg + 2) if jpeg >= 0 else None


def _jpeg2000_size(codestream: bytes) -> tuple[int, int] | None:
    """SIZ of T.800, A.5.1: the reference grid less its offset."""
    if len(codestream) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
    return bottom - top, right - left


def _jpeg_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Lines and samples of the first frame header (T.81, B.2.2); markers before it are skipped by their length."""
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">2H", data, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
