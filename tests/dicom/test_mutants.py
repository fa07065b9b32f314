"""Five hundred damaged films: each is answered or refused in one line, and none tells whose it was."""

from __future__ import annotations

import io
import random
from datetime import datetime

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from dicom.films import dataset, file, film
from lucency.dicom.answer import answer
from lucency.dicom.deid import Pseudonyms, deidentify
from lucency.errors import FilmError
from lucency.reader import Reader

pytestmark = pytest.mark.long

NAME, NUMBER = "Zebrastreifen", "Q4815162342"
KEY = Pseudonyms(b"sixteen bytes at least")


def originals() -> list[bytes]:
    pixels = np.random.default_rng(2).integers(900, 1500, (48, 48)).astype(np.uint16)
    who = {"PatientName": f"{NAME}^Zoe", "PatientID": NUMBER}
    packed = dataset(pixels=pixels, **who)
    packed.compress(JPEG2000Lossless)
    return [film(pixels=pixels, **who), file(packed)]


def mutant(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes changed, cut out, doubled or cut off; mostly in its header."""
    broken = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(128, min(len(broken), 1400)) if rng.random() < 0.8 else rng.randrange(len(broken))
        how = rng.random()
        if how < 0.6:
            broken[place] = rng.randrange(256)
        elif how < 0.75:
            del broken[place : place + rng.randint(1, 8)]
        elif how < 0.9:
            broken[place:place] = broken[place : place + rng.randint(1, 16)]
        elif len(broken) > 400:
            del broken[max(200, place) :]
    return bytes(broken)


def test_no_crash_no_leak(reader: Reader, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(0)
    rng = random.Random(3)
    printed, read, refused, given = [], 0, 0, 0
    kinds = originals()
    for number in range(500):
        data = mutant(kinds[number % 2], rng)
        try:
            for part in answer(data, reader, datetime(2025, 1, 1)).parts:
                pydicom.dcmread(io.BytesIO(part.content))
            read += 1
        except FilmError as error:
            refused += 1
            printed.append(str(error))
        try:
            content = deidentify(data, KEY).content
            given += 1
            assert NAME.encode() not in content
            assert NUMBER.encode() not in content
        except FilmError as error:
            printed.append(str(error))
    assert read > 50  # or the mutants would be too broken to try anything
    assert refused > 50
    assert given > 50
    for line in printed:
        assert "\n" not in line
        assert len(line) < 600
    captured = capfd.readouterr()
    everything = "\n".join(printed) + caplog.text + captured.out + captured.err
    assert NAME[:5] not in everything
    assert NUMBER[:6] not in everything
