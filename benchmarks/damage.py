"""How much damage to compressed films is noticed, and how many sound films are called damaged.

    python benchmarks/damage.py FILM… [--films 40] [--sound]

Writes each film as JPEG (baseline, progressive, with restart markers) and as DICOM (JPEG, JPEG 2000, JPEG-LS),
and damages what it wrote: twenty bits flipped, 1,000 bytes set to zero, 700 bytes dropped, cut at a random place and
closed again with an end marker. Counts the copies of which more than a twentieth of the pixels change by more than
`--levels` of 256, by a decoder that is not strict, or that cannot be decoded at all; noticed are those that
`open_film` refuses, or reads with a doubt. `--sound` instead reads the films as they are.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

from film.damage import cut, dropped, flipped, zeroed  # noqa: E402
from lucency.errors import FilmError  # noqa: E402
from lucency.film import open_film  # noqa: E402
from lucency.progress import track  # noqa: E402

Gray = NDArray[np.uint8]
SHARE = 0.05


def jpeg(gray: Gray, **options: int | bool) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(gray).save(stream, "JPEG", quality=88, **options)
    return stream.getvalue()


def j2k(gray: Gray, **options: list[float]) -> bytes:
    return bytes(encode_array(np.ascontiguousarray(gray), **options))


CODINGS: dict[str, tuple[UID | None, Callable[[Gray], bytes]]] = {
    "JPEG": (None, jpeg),
    "progressive JPEG": (None, lambda gray: jpeg(gray, progressive=True)),
    "JPEG with restarts": (None, lambda gray: jpeg(gray, restart_marker_rows=4)),
    "DICOM, JPEG": (JPEGBaseline8Bit, jpeg),
    "DICOM, JPEG 2000": (JPEG2000Lossless, j2k),
    "DICOM, lossy JPEG 2000": (JPEG2000, lambda gray: j2k(gray, compression_ratios=[10.0])),
    "DICOM, JPEG-LS": (JPEGLSLossless, lambda gray: bytes(jpeg_ls.encode_array(gray))),
}
"""Transfer syntax, None for a file of its own; and its encoder."""


def begins(coded: bytes) -> int:
    """Where the coded data begin: behind the first SOS or SOD."""
    sod = coded.find(b"\xff\x93")
    return sod + 2 if coded.startswith(b"\xff\x4f") else coded.index(b"\xff\xda") + 10


DAMAGES = (flipped, zeroed, dropped, cut)


def _header(gray: Gray, syntax: UID) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    header.Rows, header.Columns = gray.shape
    header.SamplesPerPixel, header.PixelRepresentation = 1, 0
    header.BitsAllocated, header.BitsStored, header.HighBit = 8, 8, 7
    header.PhotometricInterpretation = "MONOCHROME2"
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    return header


def wrapped(coded: bytes, gray: Gray, syntax: UID | None) -> bytes:
    if syntax is None:
        return coded
    header, stream = _header(gray, syntax), io.BytesIO()
    header.PixelData = encapsulate([coded])
    header["PixelData"].VR = "OB"
    header.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def changed(data: bytes, sound: Gray, syntax: UID | None, levels: int) -> bool:
    """Whether a decoder that is not strict makes another picture of it, or none."""
    try:
        if syntax in (None, JPEGBaseline8Bit):
            coded = data if syntax is None else get_frame(dcmread(io.BytesIO(data)).PixelData, 0, number_of_frames=1)
            there = np.asarray(Image.open(io.BytesIO(coded)))
        else:
            there = pixel_array(dcmread(io.BytesIO(data)))
    except Exception:  # decoders raise nearly anything on a damaged film
        return True
    if there.shape != sound.shape:
        return True
    return bool((np.abs(there.astype(int) - sound) > levels).mean() > SHARE)


def noticed(data: bytes) -> bool:
    try:
        return "damage" in open_film(data).facts
    except FilmError:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--films", dest="number", type=int, default=40, help="so many of them, at random")
    parser.add_argument("--levels", type=int, default=16)
    parser.add_argument("--sound", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if asked.sound:
        false = [path for path in track(asked.films, "reading", total=len(asked.films)) if noticed(path.read_bytes())]
        print(f"called damaged: {len(false)} of {len(asked.films)} sound films", *false, sep="\n")
        return
    rng = random.Random(asked.seed)
    counts: Counter[tuple[str, str, str]] = Counter()
    for path in track(rng.sample(asked.films, asked.number), "damaging", total=asked.number):
        film = open_film(path).gray8()
        for name, (syntax, encode) in CODINGS.items():
            coded = encode(film)
            whole = wrapped(coded, film, syntax)
            counts[name, "", "sound called damaged"] += noticed(whole)
            sound = film if syntax not in (None, JPEGBaseline8Bit) else np.asarray(Image.open(io.BytesIO(coded)))
            for damage in DAMAGES:
                broken = wrapped(damage(coded, begins(coded), rng), film, syntax)
                if changed(broken, sound, syntax, asked.levels):
                    counts[name, damage.__name__, "changed"] += 1
                    counts[name, damage.__name__, "noticed"] += noticed(broken)
    for name in CODINGS:
        print(f"{name}: {by_damage(counts, name)}; sound called damaged {counts[name, '', 'sound called damaged']}")
    print(f"in all: {by_damage(counts)}")


def by_damage(counts: Counter[tuple[str, str, str]], coding: str | None = None) -> str:
    """What was noticed of what was changed, by damage, of one coding or all."""
    rows = []
    for name in ("", *(damage.__name__ for damage in DAMAGES)):
        found, there = (
            sum(n for key, n in counts.items() if coding in (None, key[0]) and name in ("", key[1]) and key[2] == what)
            for what in ("noticed", "changed")
        )
        rows.append(f"{name or 'noticed'} {found} of {there} ({found / max(there, 1):.1%})")
    return ", ".join(rows)


if __name__ == "__main__":
    main()
