from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

from lucency.data import read_dataset, tfrecord
from lucency.errors import SourceError
from sample_sources import KERMANY, jpeg, put, write_tfrecord
from sample_sources import tfrecord as written

READ_PDU = struct.pack(
    ">12I", 0x01C00000, 0, 0, 0, 0x14000000, 0x00000400, 0x00000014, 0x00000018, 0x28000000, 0, 0x02000000, 0
)


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (READ_PDU, 0xD9963A56),
    ],
)
def test_crc32c_as_published(data: bytes, crc: int) -> None:
    """RFC 3720, B.4, whose bytes are written lowest first."""
    turned = (tfrecord.masked_crc32c(data) - 0xA282EAD8) % 2**32
    assert (turned >> 17 | (turned << 15 & 0xFFFFFFFF)) == crc


def test_the_samples_are_what_tensorboard_writes() -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for data in (b"", b"abc", bytes(1000)):
        writer.write(data)
    assert written([b"", b"abc", bytes(1000)]) == stream.getvalue()


def test_entries_come_in_order_with_their_place(tmp_path: Path) -> None:
    path = put(tmp_path / "x.tfrec", written([b"one", b"", b"three"]))
    assert [(entry.offset, data) for entry, data in tfrecord.entries(path)] == [
        (12, b"one"),
        (12 + 3 + 4 + 12, b""),
        (31 + 4 + 12, b"three"),
    ]


def test_films_patients_and_causes_come_from_the_paths(tmp_path: Path) -> None:
    films = read_dataset(write_tfrecord(tmp_path))
    assert films.class_counts() == {"normal": len(KERMANY["NORMAL"]), "pneumonia": len(KERMANY["PNEUMONIA"])}
    assert len({record.patient for record in films.samples}) == 11
    bacteria = [record for record in films.samples if record.columns["cause"] == "bacteria"]
    assert [record.patient for record in bacteria] == ["BACTERIA-1008087", "person12_bacteria", "person12_bacteria"]
    assert all(record.split == "train" for record in films.samples)
    assert films.warnings == ("left out 1 stray records in train: .DS_Store",)


def test_each_path_gets_its_own_film(tmp_path: Path) -> None:
    """The stray record is the fourth of both files: the films after it must not slip by one."""
    films = {record.name: record for record in read_dataset(write_tfrecord(tmp_path)).samples}
    level = films["train/NORMAL/NORMAL2-IM-0115-0001.jpeg"].load().pixels[0, 0]
    assert abs(int(level) - 44) <= 1
    assert abs(int(films["train/NORMAL/IM-0115-0001.jpeg"].load().pixels[0, 0]) - 40) <= 1


def test_a_stray_in_the_paths_only(tmp_path: Path) -> None:
    paths = [b"x/NORMAL/IM-0001-0001.jpeg", b"x/.DS_Store", b"x/PNEUMONIA/person1_virus_1.jpeg"]
    put(tmp_path / "paths.tfrec", written(paths))
    put(tmp_path / "images.tfrec", written([jpeg(10), jpeg(200)]))
    films = read_dataset(tmp_path)
    assert [int(record.load().pixels[0, 0]) > 100 for record in films.samples] == [False, True]
    assert len(films.warnings) == 1


def test_a_film_can_be_read_from_its_file_or_folder_above(tmp_path: Path) -> None:
    write_tfrecord(tmp_path)
    for root in (tmp_path, tmp_path / "train", tmp_path / "train" / "images.tfrec"):
        assert len(read_dataset(root)) == 13


@pytest.mark.parametrize("cut", [1, 3, 20, 700])
def test_truncated(tmp_path: Path, cut: int) -> None:
    write_tfrecord(tmp_path)
    path = tmp_path / "train" / "images.tfrec"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SourceError, match=r"images.tfrec: record 1[23] at byte \d+ ends beyond the file: truncated"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(("at", "what"), [(0, "length"), (9, "length"), (100, "bytes")])
def test_altered(tmp_path: Path, at: int, what: str) -> None:
    write_tfrecord(tmp_path)
    path = tmp_path / "train" / "images.tfrec"
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)
    with pytest.raises(SourceError, match=rf"images.tfrec: record 0 at byte \d+: the checksum of its {what} is wrong"):
        read_dataset(tmp_path)


def test_an_enormous_length_is_no_reason_to_read_it(tmp_path: Path) -> None:
    length = struct.pack("<Q", 2**60)
    path = put(tmp_path / "x.tfrec", length + struct.pack("<I", tfrecord.masked_crc32c(length)))
    with pytest.raises(SourceError, match="truncated"):
        list(tfrecord.entries(path))


def test_paths_missing_or_of_another_set(tmp_path: Path) -> None:
    put(tmp_path / "images.tfrec", written([jpeg()]))
    with pytest.raises(SourceError, match=r"expected paths.tfrec beside images.tfrec: it says which film is which"):
        read_dataset(tmp_path)
    put(tmp_path / "paths.tfrec", written([b"x/NORMAL/IM-0001-0001.jpeg"] * 2))
    with pytest.raises(SourceError, match="expected as many films as paths, found 1 films and 2 paths"):
        read_dataset(tmp_path)
    put(tmp_path / "paths.tfrec", written([b"\xff\xfe"]))
    with pytest.raises(SourceError, match="found bytes that are no text"):
        read_dataset(tmp_path)
