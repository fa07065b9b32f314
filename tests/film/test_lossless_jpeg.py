"""Lossless JPEG: decoded, for each predictor that films are coded with, to the values that were coded."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from lucency.errors import FILM_DAMAGED, FILM_UNSUPPORTED, FilmError
from lucency.film.lossless_jpeg import decode_lossless

FILM = np.random.default_rng(2).integers(0, 65536, (23, 17)).cumsum(axis=1).astype(np.uint16)


def prediction(film: np.ndarray, y: int, x: int, predictor: int, bits: int) -> int:
    """T.81, table H.1."""
    if not y and not x:
        return 1 << (bits - 1)
    left, above = int(film[y, x - 1]), int(film[y - 1, x])
    if not y or not x:
        return above if y else left
    corner = int(film[y - 1, x - 1])
    return (
        left,
        above,
        corner,
        left + above - corner,
        left + ((above - corner) >> 1),
        above + ((left - corner) >> 1),
        (left + above) >> 1,
    )[predictor - 1]


def encoded(film: np.ndarray, predictor: int = 1, bits: int = 16, restart: int = 0) -> bytes:
    """With codes of five bits for the seventeen categories."""
    parts = [film[first : first + restart] for first in range(0, len(film), restart)] if restart else [film]
    height, width = film.shape
    head = struct.pack(">2sHB2H4B", b"\xff\xc3", 11, bits, height, width, 1, 1, 0x11, 0)
    head += struct.pack(">2sHB", b"\xff\xc4", 36, 0) + bytes([0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    head += struct.pack(">2s2H", b"\xff\xdd", 4, restart * width) if restart else b""
    head += struct.pack(">2sH6B", b"\xff\xda", 8, 1, 1, 0, predictor, 0, 0)
    coded = [_scan(part, predictor, bits) for part in parts]
    body = b"".join(part + bytes([0xFF, 0xD0 + number % 8]) for number, part in enumerate(coded[:-1])) + coded[-1]
    return b"\xff\xd8" + head + body + b"\xff\xd9"


def _scan(film: np.ndarray, predictor: int, bits: int) -> bytes:
    out = ""
    for y, x in np.ndindex(film.shape):
        difference = (int(film[y, x]) - prediction(film, y, x, predictor, bits) + 32767) % 65536 - 32767
        size = abs(difference).bit_length() if difference != 32768 else 16
        out += f"{size:05b}"
        if 0 < size < 16:
            out += f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
    out += "1" * (-len(out) % 8)
    return int(out, 2).to_bytes(len(out) // 8, "big").replace(b"\xff", b"\xff\0")


@pytest.mark.parametrize("predictor", [1, 2, 3, 4, 5])
def test_what_was_coded_is_decoded(predictor: int) -> None:
    assert np.array_equal(decode_lossless(encoded(FILM, predictor)), FILM)


def test_twelve_bits_and_restarts() -> None:
    film = FILM & 4095
    assert np.array_equal(decode_lossless(encoded(film, bits=12)), film)
    assert np.array_equal(decode_lossless(encoded(film, bits=12, restart=5)), film)


@pytest.mark.parametrize("predictor", [6, 7])
def test_a_predictor_that_is_not_read(predictor: int) -> None:
    with pytest.raises(FilmError, match=f"with predictor {predictor}") as caught:
        decode_lossless(encoded(FILM, predictor))
    assert caught.value.code == FILM_UNSUPPORTED


def test_damage() -> None:
    whole = encoded(FILM)
    for broken in (whole[:-40] + b"\xff\xd9", whole[:-40] + b"\0" * 38 + b"\xff\xd9", whole[:90], whole[:2]):
        with pytest.raises(FilmError) as caught:
            decode_lossless(broken)
        assert caught.value.code == FILM_DAMAGED
