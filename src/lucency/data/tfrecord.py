"""The Kermany films as TFRecord: images.tfrec, the JPEGs, beside paths.tfrec, where each came from.

Published by the Keras examples as ChestXRay2017; the files hold a stray .DS_Store. Read here without TensorFlow.

A TFRecord file is a row of records:

    uint64 length | uint32 masked CRC-32C of length | bytes | uint32 masked CRC-32C of the bytes

little-endian; masked(c) = rotate_right(c, 15) + 0xa282ead8 (tensorflow/core/lib/io/record_writer.h, lib/hash/crc32c.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from lucency.data import kermany
from lucency.data.dataset import Dataset, Sample
from lucency.data.folder import SPLITS, inventory, is_leftover, require_folder, visible_folders
from lucency.errors import SourceError
from lucency.film import Film, open_film
from lucency.progress import track

IMAGES, PATHS = "images.tfrec", "paths.tfrec"
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")


@dataclass(frozen=True)
class Entry:
    """Where the bytes of one record lie."""

    offset: int
    length: int


def read(root: Path) -> Dataset:
    """Read images.tfrec and paths.tfrec in `root`, or in split folders below it. Every checksum is checked.

    Raises:
        SourceError: the files are missing, truncated or altered (which record, which byte), or do not belong together.
    """
    folders = _folders(root.parent if root.is_file() else root)
    if not folders:
        require_folder(root)
        raise SourceError(
            f"{root}: expected {IMAGES} beside {PATHS}, here or below train/ and test/; {inventory(root)}"
        )
    samples: list[Sample] = []
    warnings: list[str] = []
    for split, folder in folders:
        kept, strays = _pairs(folder)
        samples += [_sample(folder, split, entry, path) for entry, path in kept]
        if strays:
            names = ", ".join(sorted(set(strays))[:5])
            warnings.append(f"left out {len(strays)} stray records in {folder.name}: {names}")
    warnings += kermany.name_warnings([_names(sample.name) for sample in samples])
    samples.sort(key=lambda sample: sample.name)
    return Dataset(kermany.LABELS, tuple(samples), "binary", "tfrecord", tuple(warnings))


def recognises(root: Path) -> bool:
    """Whether `root` is a .tfrec file, or holds images.tfrec, or split folders that do."""
    return root.suffix.lower() == ".tfrec" if root.is_file() else bool(_folders(root))


def entries(path: Path) -> Iterator[tuple[Entry, bytes]]:
    """Yield where each record of a TFRecord file lies, with its bytes; one record is held at a time.

    Raises:
        SourceError: a record is truncated or its checksum is wrong.
    """
    with path.open("rb") as stream:
        number = 0
        while header := stream.read(HEADER.size):
            entry = Entry(stream.tell(), _length(path, number, stream.tell() - len(header), header))
            yield entry, _payload(path, number, stream, entry.length)
            number += 1


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720) of `data`, rotated right by 15 bits plus a constant, modulo 2**32."""
    import google_crc32c

    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _length(path: Path, number: int, offset: int, header: bytes) -> int:
    if len(header) < HEADER.size:
        raise _truncated(path, number, offset)
    length, crc = HEADER.unpack(header)
    if masked_crc32c(header[:8]) != crc:
        raise _altered(path, number, offset, "length")
    return int(length)


def _payload(path: Path, number: int, stream: BinaryIO, length: int) -> bytes:
    offset = stream.tell()
    if offset + length + FOOTER.size > path.stat().st_size:
        raise _truncated(path, number, offset)
    data = stream.read(length)
    if FOOTER.unpack(stream.read(FOOTER.size))[0] != masked_crc32c(data):
        raise _altered(path, number, offset, "bytes")
    return data


def _truncated(path: Path, number: int, offset: int) -> SourceError:
    return SourceError(
        f"{path}: record {number} at byte {offset} ends beyond the file: truncated; fetch the file again"
    )


def _altered(path: Path, number: int, offset: int, what: str) -> SourceError:
    return SourceError(
        f"{path}: record {number} at byte {offset}: the checksum of its {what} is wrong, the file is altered or is no "
        "TFRecord; fetch it again"
    )


def _folders(root: Path) -> list[tuple[str | None, Path]]:
    """Folders with films, each with the split its name states."""
    if not root.is_dir():
        return []
    if (root / IMAGES).is_file():
        return [(SPLITS.get(root.name.lower()), root)]
    below = [folder for folder in visible_folders(root) if folder.name.lower() in SPLITS]
    return [(SPLITS[folder.name.lower()], folder) for folder in below if (folder / IMAGES).is_file()]


def _pairs(folder: Path) -> tuple[list[tuple[Entry, PurePosixPath]], list[str]]:
    """Each film with where it came from, and the names of the records that are no films."""
    if not (folder / PATHS).is_file():
        raise SourceError(
            f"{folder}: expected {PATHS} beside {IMAGES}: it says which film is which; {inventory(folder)}"
        )
    paths = [_path(folder, data) for _, data in entries(folder / PATHS)]
    images = [
        (entry, data.startswith(b"\xff\xd8"))
        for entry, data in track(entries(folder / IMAGES), "checking films", len(paths))
    ]
    strays = [path.name for path in paths if _label(path) is None]
    if len(images) != len(paths):
        # The stray is listed in one of the files only: what is left on both sides must still agree
        paths = [path for path in paths if _label(path) is not None]
        images = [image for image in images if image[1]]
    if len(images) != len(paths):
        raise SourceError(
            f"{folder}: expected as many films as paths, found {len(images)} films and {len(paths)} paths"
        )
    pairs = [(entry, path) for (entry, _), path in zip(images, paths, strict=True)]
    return [(entry, path) for entry, path in pairs if _label(path) is not None], strays


def _path(folder: Path, data: bytes) -> PurePosixPath:
    try:
        return PurePosixPath(data.decode())
    except UnicodeDecodeError as error:
        raise SourceError(f"{folder / PATHS}: expected paths of films, found bytes that are no text") from error


def _label(path: PurePosixPath) -> int | None:
    return None if is_leftover(Path(path.name)) else kermany.label_of(path.parent.name)


def _names(name: str) -> tuple[str, str]:
    path = PurePosixPath(name)
    return path.parent.name, path.name


def _sample(folder: Path, split: str | None, entry: Entry, path: PurePosixPath) -> Sample:
    label = _label(path)
    assert label is not None
    return Sample(
        name="/".join((*([split] if split else []), path.parent.name, path.name)),
        label=label,
        load=partial(_load, folder / IMAGES, entry, path.name),
        patient=kermany.identify(path.name)[0],
        split=split,
        columns=kermany.cause_columns(path.parent.name, path.name),
    )


def _load(images: Path, entry: Entry, name: str) -> Film:
    with images.open("rb") as stream:
        stream.seek(entry.offset)
        return open_film(stream.read(entry.length), name)
