"""Broken films, drawn from a seed: cut short, bits turned, headers wrong, two files in one, and bombs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from film.conftest import MakeDicom

Rng = np.random.Generator
ODD = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0", b"\1\0\0\0")
"""What lengths and counts break on, in either byte order."""


def whole(make_dicom: MakeDicom) -> dict[str, bytes]:
    """Films that can be read, by kind."""
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (40, 48), dtype=np.uint8)
    wide = rng.integers(0, 2**16, (40, 48), dtype=np.uint16)
    colour = np.repeat(gray[..., None], 3, axis=2)
    return {
        "PNG": encoded(gray, "PNG"),
        "PNG of 16 bits": encoded(wide, "PNG"),
        "PNG in colour": encoded(colour, "PNG"),
        "JPEG": encoded(gray, "JPEG"),
        "JPEG, progressive": encoded(colour, "JPEG", progressive=True),
        "TIFF": encoded(gray, "TIFF"),
        "TIFF by LZW": encoded(wide, "TIFF", compression="tiff_lzw"),
        "TIFF by deflate": encoded(colour, "TIFF", compression="tiff_adobe_deflate"),
        "DICOM": make_dicom(wide),
        "DICOM of 8 bits": make_dicom(gray, WindowCenter=100, WindowWidth=50),
        "DICOM, implicit": make_dicom(wide, syntax=ImplicitVRLittleEndian, PatientName="Doe^John"),
        "DICOM by RLE": packed(make_dicom(wide), RLELossless),
        "DICOM by JPEG 2000": packed(make_dicom(wide), JPEG2000Lossless),
        "DICOM by JPEG-LS": packed(make_dicom(gray), JPEGLSLossless),
    }


def encoded(pixels: np.ndarray, kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **how)
    return stream.getvalue()


def packed(film: bytes, syntax: str) -> bytes:
    """The same film with its pixels compressed."""
    dataset, stream = dcmread(io.BytesIO(film)), io.BytesIO()
    dataset.compress(syntax, generate_instance_uid=False)
    dcmwrite(stream, dataset)
    return stream.getvalue()


def cut(film: bytes, rng: Rng) -> bytes:
    return film[: int(rng.integers(0, len(film)))]


def turned(film: bytes, rng: Rng) -> bytes:
    """Some bits of it the other way."""
    broken = bytearray(film)
    for at in rng.integers(0, len(film), int(rng.integers(1, 40))):
        broken[at] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def wrong_head(film: bytes, rng: Rng) -> bytes:
    """Odd numbers where the header tells sizes; the first 400 bytes hold every header here."""
    broken = bytearray(film)
    for at in rng.integers(2, min(400, len(film) - 4), int(rng.integers(1, 4))):
        broken[at : at + 4] = ODD[int(rng.integers(len(ODD)))]
    return bytes(broken)


def stuffed(film: bytes, rng: Rng) -> bytes:
    """Noise in the midst of it."""
    at = int(rng.integers(0, len(film)))
    return film[:at] + rng.bytes(int(rng.integers(1, 300))) + film[at:]


WAYS: tuple[Callable[[bytes, Rng], bytes], ...] = (cut, turned, wrong_head, stuffed)


def broken_films(make_dicom: MakeDicom, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` films and what is wrong with each: every bomb, then each kind broken in each way, in turns."""
    rng, films = np.random.default_rng(seed), whole(make_dicom)
    kinds, made = list(films), bombs(make_dicom)
    yield from list(made.items())[:count]
    for number in range(count - len(made)):
        kind, way = kinds[number % len(kinds)], (number // len(kinds)) % (len(WAYS) + 1)
        if way < len(WAYS):
            yield f"{kind}, {WAYS[way].__name__}, {number}", WAYS[way](films[kind], rng)
        else:  # the beginning of one and the end of another
            other = films[kinds[int(rng.integers(len(kinds)))]]
            yield f"{kind}, spliced, {number}", films[kind][: int(rng.integers(8, 300))] + cut(other[::-1], rng)[::-1]


def bombs(make_dicom: MakeDicom) -> dict[str, bytes]:
    """Small files that ask for much: memory, time, or a deep stack."""
    zeros, one = zlib.compress(bytes(2**28), 9), np.zeros((4, 4), dtype=np.uint16)
    return {
        "PNG of 60,000 × 60,000": png(60000, 60000, zlib.compress(b"\0")),
        "PNG of 2^31 - 1 pixels a side": png(2**31 - 1, 2**31 - 1, b""),
        "PNG of 0 × 0": png(0, 0, b""),
        "PNG whose pixels do not end": png(4, 4, zeros),
        "PNG whose text does not end": png(4, 4, zlib.compress(bytes(20)), chunk(b"zTXt", b"a\0\0" + zeros)),
        "PNG whose profile does not end": png(4, 4, zlib.compress(bytes(20)), chunk(b"iCCP", b"a\0\0" + zeros)),
        "PNG of 20,000 chunks": png(4, 4, zlib.compress(bytes(20)), chunk(b"tEXt", b"a\0b") * 20000),
        "JPEG of 65,535 × 65,535": jpeg_of(65535, 65535),
        "JPEG of 2,000 scans": jpeg_of_scans(2000),
        "TIFF of 90,000 × 90,000": tiff(width=90000, height=90000),
        "TIFF of one strip without an end": tiff(width=1000, height=1000, strip=2**32 - 1),
        "TIFF that follows itself": tiff(following=8),
        "DICOM of 65,535 × 65,535": make_dicom(one, Rows=65535, Columns=65535),
        "DICOM of 2^31 - 1 frames": make_dicom(one, NumberOfFrames=2**31 - 1),
        "DICOM, deflated without an end": deflated(make_dicom, bytes(2**28)),
        "DICOM, nested 5,000 deep": nested(make_dicom, 5000),
        "DICOM, deflated and nested 100,000 deep": deflated(make_dicom, NEST * 100000),
        "DICOM that says RLE": claiming(make_dicom(one), RLELossless),
        "DICOM that says JPEG": claiming(make_dicom(one), JPEGBaseline8Bit),
        "nothing": b"",
        "one byte": b"\x89",
        "zeros": bytes(10**6),
    }


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes, before: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    film = encoded(np.zeros((16, 16), dtype=np.uint8), "JPEG")
    at = film.index(b"\xff\xc0") + 5
    return film[:at] + struct.pack(">HH", height, width) + film[at + 4 :]


def jpeg_of_scans(times: int) -> bytes:
    """A progressive one whose last scan comes again and again: each is decoded over the whole film."""
    noise = np.random.default_rng(1).integers(0, 256, (600, 600), dtype=np.uint8)
    film = encoded(noise, "JPEG", progressive=True, quality=5)
    last = film[film.rindex(b"\xff\xda") : -2]
    return film[:-2] + last[:200] * times + film[-2:]


def tiff(width: int = 4, height: int = 4, strip: int = 16, following: int = 0) -> bytes:
    """Little-endian, 8 bits of gray, one strip after its directory."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 118), (277, 1), (278, height)]
    tags.append((279, strip))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(16)


NEST = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
"""A sequence (0040,0275) of undefined length, and in it an item of undefined length."""


def nested(make_dicom: MakeDicom, deep: int) -> bytes:
    return make_dicom(np.zeros((4, 4), dtype=np.uint8)) + NEST * deep


def deflated(make_dicom: MakeDicom, more: bytes) -> bytes:
    """A film whose attributes and pixels are one deflated stream, with `more` behind them."""
    film = claiming(make_dicom(np.zeros((4, 4), dtype=np.uint8)), DeflatedExplicitVRLittleEndian)
    start = film.index(b"\x08\x00\x16\x00")  # SOP Class UID, the first attribute behind the file's own
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return film[:start] + squeezer.compress(film[start:]) + squeezer.compress(more) + squeezer.flush()


def claiming(film: bytes, syntax: str) -> bytes:
    """A DICOM file that says it is written in another transfer syntax."""
    group, said = film.index(b"\x02\x00\x00\x00UL") + 8, film.index(b"\x02\x00\x10\x00UI") + 6
    was = struct.unpack("<H", film[said : said + 2])[0]
    name = syntax.encode() + b"\0" * (len(syntax) % 2)
    length = struct.pack("<I", struct.unpack("<I", film[group : group + 4])[0] + len(name) - was)
    head = film[:group] + length + film[group + 4 : said] + struct.pack("<H", len(name)) + name
    return head + film[said + 2 + was :]
