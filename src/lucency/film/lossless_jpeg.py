"""Lossless JPEG (ITU-T T.81, annex H), which archives are full of: DICOM transfer syntaxes .57 and .70.

Huffman codes follow each other bit by bit, so finding where each begins is one step of a loop a pixel; all else is
array arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lucency.errors import FILM_DAMAGED, FilmError
from lucency.film.codestream import segments
from lucency.film.limits import refusal

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_Ints = NDArray[np.int64]
CHUNK = 1 << 20
"""Pixels decoded at a time."""


def decode_lossless(jpeg: bytes) -> NDArray[np.uint16]:
    """uint16 (h, w) of a lossless JPEG of one component.

    Raises:
        FilmError: it is damaged, or its predictor is 6 or 7, which no encoder of films uses.
    """
    tables: dict[int, bytes] = {}
    frame, restart, scan = b"", 0, (b"", b"")
    for marker, at, segment in segments(jpeg):
        if marker == 0xC3:
            frame = segment
        elif marker == 0xC4:
            tables |= dict(_tables(segment))
        elif marker == 0xDD:
            restart = int.from_bytes(segment[:2], "big")
        elif marker == 0xDA:
            scan = segment, jpeg[at:]
        elif marker == 0xD9 and frame and scan[0]:
            coded = scan[1][: at - (len(jpeg) - len(scan[1]))]
            return _decode(frame, tables, restart, scan[0], coded)
    raise _damaged("no frame, scan or end")


def _decode(frame: bytes, tables: dict[int, bytes], restart: int, scan: bytes, coded: bytes) -> NDArray[np.uint16]:
    bits, height, width = frame[0], int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    selected, predictor, shift = scan[2] >> 4, scan[3], scan[5] & 15
    if frame[5] != 1 or predictor not in _PREDICTORS:
        raise refusal(f"a lossless JPEG of {frame[5]} colours with predictor {predictor}", "decompress it first")
    if selected not in tables or restart % max(width, 1):
        raise _damaged("a table or a restart is wrong")
    rows = restart // width or height
    parts = _RESTART.split(coded) if restart else [coded]
    if len(parts) != -(-height // rows):
        raise _damaged("restarts are missing")
    image = np.empty((height, width), np.uint16)
    for number, part in enumerate(parts):
        lines = image[number * rows : (number + 1) * rows]
        differences = _differences(part.replace(b"\xff\0", b"\xff"), tables[selected], lines.size).reshape(lines.shape)
        differences[0, 0] += 1 << (bits - shift - 1)
        lines[:] = _PREDICTORS[predictor](differences) << shift
    return image


def _tables(segment: bytes) -> list[tuple[int, bytes]]:
    """Number and content of each Huffman table: sixteen counts of codes by length, then their symbols."""
    found, at = [], 0
    while at + 17 <= len(segment):
        length = 17 + sum(segment[at + 1 : at + 17])
        found.append((segment[at] & 15, segment[at + 1 : at + length]))
        at += length
    return found


def _lookup(table: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For each sixteen bits that follow: the length of their code, 0 for none, and its symbol (T.81, annex C)."""
    lengths, symbols = np.zeros(65536, np.uint8), np.zeros(65536, np.uint8)
    code, at = 0, 16
    for length in range(1, 17):
        for symbol in table[at : at + table[length - 1]]:
            first = code << (16 - length)
            lengths[first : first + (1 << (16 - length))], symbols[first : first + (1 << (16 - length))] = (
                length,
                symbol,
            )
            code += 1
        at += table[length - 1]
        code <<= 1
    return lengths, symbols


def _differences(coded: bytes, table: bytes, count: int) -> _Ints:
    """The difference of each pixel from its prediction (T.81, H.1.2.2)."""
    lengths, symbols = _lookup(table)
    words = np.frombuffer(coded + b"\xff" * 8, np.uint8).astype(np.uint32)
    three = words[:-2] << 16 | words[1:-1] << 8 | words[2:]
    follow = np.stack([(three >> (8 - bit)) & 0xFFFF for bit in range(8)], axis=1).ravel().astype(np.uint16)
    extra = np.where(symbols > 15, 0, symbols)
    steps = np.where(lengths > 0, lengths + extra, 0).astype(np.uint8)[follow].tobytes()
    out, place, last = np.empty(count, np.int64), 0, 8 * len(coded)
    for first in range(0, count, CHUNK):
        places = []
        for _ in range(min(CHUNK, count - first)):
            places.append(place)
            if place >= last:
                raise _damaged("premature end")
            place += steps[place]
        at = np.array(places)
        symbol = symbols[follow[at]].astype(np.int64)
        if (lengths[follow[at]] == 0).any() or symbol.max() > 16:
            raise _damaged("a bad Huffman code")
        begins = at + lengths[follow[at]]
        size = np.where(symbol > 15, 0, symbol)
        value = follow[np.minimum(begins, len(follow) - 1)].astype(np.int64) >> (16 - size)
        negative = (size > 0) & (value < (1 << size >> 1))
        out[first : first + len(at)] = np.where(symbol == 16, 32768, value - np.where(negative, (1 << size) - 1, 0))
    if not 0 <= last - place < 16:
        raise _damaged("data are left over" if place < last else "premature end")
    return out


def _left(d: _Ints) -> _Ints:
    d[:, 0] = np.cumsum(d[:, 0])
    return np.cumsum(d, axis=1)


def _above(d: _Ints) -> _Ints:
    d[0] = np.cumsum(d[0])
    return np.cumsum(d, axis=0)


def _plane(d: _Ints) -> _Ints:
    return np.asarray(np.cumsum(np.cumsum(d, axis=1), axis=0))


def _rows(predict: Callable[[_Ints, _Ints], _Ints]) -> Callable[[_Ints], _Ints]:
    """Row by row: (row above modulo 2^16, differences) → row."""

    def predicted(d: _Ints) -> _Ints:
        d[0] = np.cumsum(d[0])
        for y in range(1, len(d)):
            d[y] = predict(d[y - 1] & 0xFFFF, d[y])
        return d

    return predicted


def _upper_left(above: _Ints, d: _Ints) -> _Ints:
    found: _Ints = d + np.concatenate([above[:1], above[:-1]])
    return found


def _left_and_slope(above: _Ints, d: _Ints) -> _Ints:
    return np.asarray(np.cumsum(d + np.concatenate([above[:1], np.diff(above) >> 1])))


_PREDICTORS: dict[int, Callable[[_Ints], _Ints]] = {
    1: _left,
    2: _above,
    3: _rows(_upper_left),
    4: _plane,
    5: _rows(_left_and_slope),
}
"""Differences → samples, modulo 2^16 (T.81, table H.1)."""


def _damaged(reason: str) -> FilmError:
    advice = "it is damaged or cut short; copy it again"
    return refusal(f"a lossless JPEG that cannot be decoded ({reason})", advice, FILM_DAMAGED)
