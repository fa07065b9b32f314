"""What a compressed picture says of itself, whatever the header around it says; JPEG, decoded strictly; JPEG 2000.

A decoder allocates memory and spends time by these numbers, so a small file can ask for any amount of either.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lucency.errors import FILM_DAMAGED, FilmError
from lucency.film.limits import check_size, refusal

MAX_SCANS = 64
"""Of a progressive JPEG, each of which passes over the whole film; encoders write about ten."""
MAX_TILES = 4096
"""Of a JPEG 2000, each of which costs memory of its own."""
DAMAGE = {
    "leftover": "coded data are left over at the end of its JPEG stream",
    "overflow": "values need more bits than its header states",
    "step": "its brightness jumps along a row of JPEG blocks",
    "overshoot": "its JPEG 2000 stream decodes to values beyond its range",
}
"""`Film.facts["damage"]`: signs of damage that do not prove it, in words."""
MIN_STEP, MIN_EVENNESS, MIN_SURE = 2.0, 0.65, 6.0
"""Of the jump along a row of blocks: gray levels; |mean| / root mean square; mean in standard errors, which few blocks
reach by chance. A film that has all three is doubted, not refused."""

_UNREAD = {
    0xC3: "a lossless JPEG",
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "a hierarchical JPEG"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB), "a JPEG with arithmetic coding"),
    0xF7: "a JPEG-LS image outside DICOM",
}
"""Start of frame (T.81, table B.1; T.87) → what it begins."""
_FRAMES = {0xC0, 0xC1, 0xC2, *_UNREAD}
_BARE = {0x01, 0xD8, *range(0xD0, 0xD8)}
"""Markers without a segment."""
_MARKER_IN_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Inside coded data 0xFF is followed by zero or by a restart marker (T.81, B.1.1.5)."""


@dataclass(frozen=True)
class Jpeg:
    """The layout of the first picture in a JPEG stream; thumbnails, previews and what follows it are left out."""

    frame: int
    """Second byte of the start-of-frame marker."""
    bits: int
    height: int
    width: int
    components: int
    scans: tuple[tuple[int, bytes], ...]
    """Of each scan, where its coded data begin and its header."""
    ends: int
    """Where the last coded data end; the end marker stands behind."""

    @property
    def is_refined(self) -> bool:
        """Whether the scans of a progressive JPEG hold every bit of every coefficient (T.81, G.1.1.1)."""
        left = np.full((256, 64), 99)
        for _, header in self.scans:
            count = header[0]
            first, last, low = header[1 + 2 * count], header[2 + 2 * count], header[3 + 2 * count] & 15
            for component in header[1 : 1 + 2 * count : 2]:
                left[component, first : last + 1] = low
        components = {component for _, header in self.scans for component in header[1 : 1 + 2 * header[0] : 2]}
        return len(components) == self.components and bool((left[sorted(components)] == 0).all())


def parse_jpeg(jpeg: bytes) -> Jpeg:
    """Walk over the segments of a JPEG.

    Raises:
        FilmError: it has no frame, no scan or no end.
    """
    frame: tuple[int, int, int, int, int] | None = None
    scans: list[tuple[int, bytes]] = []
    ends = 0
    for marker, at, segment in segments(jpeg):
        if marker in _FRAMES:
            if frame is not None or len(segment) < 6:
                raise _damaged("two frames")
            bits, height, width, components = struct.unpack_from(">B2HB", segment)
            frame = marker, bits, height, width, components
        elif marker == 0xDA and segment and len(segment) >= 4 + 2 * segment[0]:
            scans.append((at, segment))
        elif marker == 0xD9:
            ends = at
    if frame is None or not scans or not ends:
        raise _damaged("no frame" if frame is None else "no picture" if not scans else "no end")
    while jpeg[ends - 1] == 0xFF:  # fill bytes
        ends -= 1
    return Jpeg(*frame, tuple(scans), ends)


def segments(jpeg: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The segments of a JPEG: marker, where its segment ends, content; at last the end marker and where it begins."""
    at = 2
    while at + 2 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xD9:
            yield marker, at, b""
            return
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        at, segment = at + 2 + length, jpeg[at + 4 : at + 2 + length]
        yield marker, at, segment
        if marker == 0xDA:
            found = _MARKER_IN_SCAN.search(jpeg, at)
            if found is None:
                return
            at = found.start()


def with_colours(jpeg: bytes, is_rgb: bool) -> bytes:
    """A JPEG that says whether its colours are RGB or YCbCr: where it does not, the header around it decides.

    Decoders know them by JFIF's or Adobe's segment (T.872, 6.1 and 6.5.3), and without one take YCbCr for granted.
    """
    says = any(
        (marker == 0xE0 and segment.startswith(b"JFIF\0")) or (marker == 0xEE and segment.startswith(b"Adobe"))
        for marker, _, segment in segments(jpeg)
        if len(segment) >= 12
    )
    return jpeg if says else jpeg[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([not is_rgb]) + jpeg[2:]


def check_jpeg(layout: Jpeg) -> None:
    """Refuse a JPEG of a kind that is not read, too large, with too many scans, or not whole."""
    check_size(layout.height, layout.width)
    if layout.frame in _UNREAD:
        raise refusal(f"{_UNREAD[layout.frame]} ({layout.bits} bits)", "save it as a baseline JPEG or a PNG")
    if layout.bits != 8:
        raise refusal(f"a JPEG of {layout.bits} bits", "save it as a PNG or DICOM of 16 bits")
    if len(layout.scans) > MAX_SCANS:
        scans = len(layout.scans)
        raise refusal(f"a JPEG of {scans} scans", f"at most {MAX_SCANS} are read; save it as a baseline JPEG")
    if layout.frame == 0xC2 and not layout.is_refined:
        raise _damaged("scans are missing")


def decode_jpeg(jpeg: bytes, layout: Jpeg, colour: str) -> tuple[NDArray[np.uint8], str]:
    """Decode strictly what `check_jpeg` passes: what libjpeg only warns of is an error.

    Args:
        jpeg: the stream.
        layout: of `parse_jpeg`.
        colour: "GRAY" or "RGB".

    Returns:
        uint8 (h, w) or (h, w, 3); and "" or a key of DAMAGE.
    """
    import simplejpeg

    try:
        pixels = simplejpeg.decode_jpeg(jpeg[: layout.ends] + b"\xff\xd9", colour, strict=True)
    except ValueError as error:
        raise _damaged(str(error).split(":")[-1].strip()) from error
    pixels = pixels[:, :, 0] if colour == "GRAY" else pixels
    return pixels, _damage(jpeg, layout, pixels)


def _damage(jpeg: bytes, layout: Jpeg, pixels: NDArray[np.uint8]) -> str:
    if layout.frame != 0xC2 and _has_leftover(jpeg, layout):
        return "leftover"
    return "step" if has_step(pixels if pixels.ndim == 2 else pixels[:, :, 1]) else ""


def _has_leftover(jpeg: bytes, layout: Jpeg) -> bool:
    """Whether the picture is complete without its last byte: then a decoder that lost its place has found it again."""
    import simplejpeg

    short = layout.ends - 2 if jpeg[layout.ends - 2 : layout.ends] == b"\xff\0" else layout.ends - 1
    try:
        simplejpeg.decode_jpeg(jpeg[:short] + b"\xff\xd9", "GRAY", strict=True, min_height=1, min_width=1, min_factor=1)
    except ValueError:
        return False
    return True


def has_step(gray: NDArray[np.uint8], block: int = 8) -> bool:
    """Whether all blocks behind one block are brighter or darker by one amount, as behind a wrong DC difference.

    The jump across the upper edge of each block, less the slope on both sides of it, in raster order: behind the
    wrong block it is the same over one row's length, part of one edge and part of the next, and absent from the rest
    of both. The edge of a border runs along the whole of one row.
    """
    across = gray.shape[1] // block
    rows = np.arange(block, gray.shape[0] - 1, block)
    if len(rows) < 2 or across < 4:
        return False
    film = gray[:, : across * block].astype(np.int16)
    before, above, below, after = (film[rows + offset] for offset in (-2, -1, 0, 1))
    jump = (below - above) - 0.5 * ((above - before) + (after - below))
    inside = (np.minimum(above, below) > 1) & (np.maximum(above, below) < 254)  # clipped, a jump shows no more
    shape = len(rows), across, block
    counts = inside.reshape(shape).sum(axis=2).ravel()
    mean = np.where(inside, jump, 0).reshape(shape).sum(axis=2).ravel() / np.maximum(counts, 1)
    usable = counts >= block // 2
    sums = np.concatenate([np.zeros((3, 1)), np.cumsum([usable, mean * usable, mean * mean * usable], axis=1)], axis=1)
    starts = np.arange(len(usable) - across + 1)
    turns = np.minimum((starts // across + 1) * across, len(usable))  # where the next row begins
    stops = np.minimum(turns + across, len(usable))
    spans = [(starts, turns), (turns, starts + across), (turns - across, starts), (starts + across, stops)]
    (first, second, before_it, behind) = (sums[:, to] - sums[:, since] for since, to in spans)
    number, total, squares = first + second
    evenness = np.abs(total) / np.sqrt(number * squares).clip(1e-9)
    even = (evenness >= MIN_EVENNESS) & (number * evenness**2 >= MIN_SURE**2 * (1 - evenness**2))
    level = np.minimum(*(np.sign(total) * part[1] / np.maximum(part[0], 1) for part in (first, second)))
    rest = np.maximum(*(np.abs(part[1]) / np.maximum(part[0], 1) for part in (before_it, behind)))
    known = (np.minimum(first[0], second[0]) >= 2) & (number >= across / 2)
    return bool(
        (known & even & (level >= MIN_STEP) & (2 * level >= np.abs(total) / number.clip(1)) & (rest < level)).any()
    )


def check_coded(frame: bytes, size: tuple[int, int], channels: int = 1) -> None:
    """Refuse a JPEG 2000 or JPEG-LS frame whose own header states another size than (height, width), or channels."""
    coded = _jpeg_ls(frame) if frame.startswith(b"\xff\xd8") else _jpeg2000(frame)
    if coded is None:
        return  # damaged, which its decoder reports
    *stated, components, tiles = coded
    check_size(stated[0], stated[1])
    if components != channels:
        advice = "send the original gray film" if channels == 1 else "its header is wrong; export it again"
        raise refusal(f"a compressed frame of {components} colours", advice)
    if tuple(stated) != size or tiles > MAX_TILES:
        found = f"a compressed frame of {stated[1]} x {stated[0]} pixels in {tiles} tiles, header {size[1]} x {size[0]}"
        raise refusal(found, "export it again")


def check_rle(frame: bytes, pixels: int) -> None:
    """Refuse an RLE frame of which a segment unpacks to more than `pixels` bytes and their padding (PS3.5, annex G)."""
    count, *offsets = struct.unpack_from("<16I", frame.ljust(64, b"\0"))
    starts = [*offsets[: min(count, 15)], len(frame)]
    for at, stop in pairwise(starts):
        size = 0
        while at < min(stop, len(frame)):
            run = frame[at]
            at += run + 2 if run < 128 else 1 if run == 128 else 2
            size += run + 1 if run < 128 else 0 if run == 128 else 257 - run
            if size > pixels + 128:
                found = f"an RLE segment of more than the {pixels} pixels of its header"
                raise refusal(found, "it is damaged; copy it again", FILM_DAMAGED)


def _jpeg_ls(frame: bytes) -> tuple[int, int, int, int] | None:
    for marker, _, segment in segments(frame):
        if marker in _FRAMES and len(segment) >= 6:
            _, height, width, components = struct.unpack_from(">B2HB", segment)
            return height, width, components, 1
    return None


def _jpeg2000(frame: bytes) -> tuple[int, int, int, int] | None:
    """SIZ of T.800, A.5.1: the reference grid less its offset, the number of components, and of tiles."""
    codestream = codestream_of(frame)
    if not codestream.startswith(b"\xff\x4f\xff\x51"):
        return None
    if len(codestream) < 42:
        raise _damaged("a JPEG 2000 header cut short")
    right, bottom, left, top, wide, tall = struct.unpack_from(">6I", codestream, 8)
    (components,) = struct.unpack_from(">H", codestream, 40)
    tiles = -(-right // max(wide, 1)) * -(-bottom // max(tall, 1))
    return bottom - top, right - left, components, tiles


def codestream_of(frame: bytes) -> bytes:
    """A JPEG 2000 codestream, taken out of the boxes of a JP2 file where it has them (T.800, I.4)."""
    if frame[4:8] != b"jP  ":
        return frame
    at = 0
    while at + 8 <= len(frame):
        length, kind, begins = int.from_bytes(frame[at : at + 4], "big"), frame[at + 4 : at + 8], at + 8
        if length == 1:
            length, begins = int.from_bytes(frame[at + 8 : at + 16], "big"), at + 16
        if kind == b"jp2c":
            return frame[begins:]
        if length < begins - at:
            break
        at += length
    raise _damaged("JPEG 2000 boxes without a codestream")


def _damaged(reason: str) -> FilmError:
    return refusal(
        f"a JPEG that cannot be decoded ({reason})", "it is damaged or cut short; copy it again", FILM_DAMAGED
    )


LOSSLESS_ROOM = 4
"""Bits that the range is widened by."""
FAR, SHARE = 1 / 16, 1e-4
"""Of the range and of the pixels: what a sound lossy frame leaves it by, at most; of those measured a quarter of it."""
_SIZ, _COD, _QCD, _FIRST_TILE = 0xFF51, 0xFF52, 0xFF5C, 0xFF90
_PRECISION = 40
"""Where the precision of the first component stands behind the marker (T.800, A.5.1)."""


def decode_jpeg2000(codestream: bytes) -> tuple[NDArray[np.uint16], str] | None:
    """uint16 (h, w) and "" or "overshoot", a key of DAMAGE; None where the range cannot be widened: decode it plainly.

    The arithmetic coder makes some picture of any bytes, and decoders clip what leaves the range. A sound lossless
    frame never does, and a sound lossy one does so by little and seldom; behind a wrong bit most do.
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
