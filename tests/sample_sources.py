"""A small data set of each source, written without the code under test."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

KERMANY = {
    "NORMAL": [
        "IM-0115-0001",
        "IM-0115-0002",
        "IM-0117-0001",
        "NORMAL2-IM-0115-0001",
        "NORMAL2-IM-0383-0001-0002",
        "NORMAL-1049278-0001",
    ],
    "PNEUMONIA": [
        "person12_bacteria_34",
        "person12_bacteria_35",
        "person12_virus_34",
        "person7_virus_8",
        "person447_virus_921_1",
        "BACTERIA-1008087-0001",
        "VIRUS-1008087-0001",
    ],
}
"""File names as published, eleven patients: person12 counts twice, once a cause."""


def jpeg(level: int = 90, size: tuple[int, int] = (40, 32)) -> bytes:
    """A flat gray JPEG of width, height `size`."""
    stream = io.BytesIO()
    Image.new("L", size, level).save(stream, "JPEG")
    return stream.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_kermany(root: Path) -> Path:
    for folder, names in KERMANY.items():
        for level, name in enumerate(names):
            put(root / "train" / folder / f"{name}.jpeg", jpeg(40 + level))
    put(root / "train" / "NORMAL" / ".DS_Store", b"\0\0\0\1Bud1")
    return root


def write_folder(root: Path) -> Path:
    for index in range(6):
        put(root / "healthy" / f"{index}.png", jpeg(60 + index))
        put(root / "consolidation" / f"{index}.png", jpeg(160 + index))
    return root


def write_csv(root: Path) -> Path:
    lines = ["path,label,patient,split,age"]
    for index in range(8):
        put(root / "films" / f"{index}.jpg", jpeg(50 + index))
        lines.append(f"films/{index}.jpg,{'ill' if index % 2 else 'normal'},p{index // 2},train,{30 + index}")
    put(root / "films.csv", "\n".join(lines).encode())
    return root


def tfrecord(payloads: Iterable[bytes]) -> bytes:
    """A TFRecord file, its checksums computed bit by bit."""
    rows = []
    for data in payloads:
        length = struct.pack("<Q", len(data))
        rows += [length, struct.pack("<I", masked(length)), data, struct.pack("<I", masked(data))]
    return b"".join(rows)


def masked(data: bytes) -> int:
    """CRC-32C by long division (RFC 3720, 12.1; polynomial 11edc6f41, reflected), masked as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def write_tfrecord(root: Path) -> Path:
    where = [
        f"gs://bucket/chest_xray/train/{folder}/{name}.jpeg" for folder, names in KERMANY.items() for name in names
    ]
    where.insert(3, "gs://bucket/chest_xray/train/.DS_Store")
    films = [b"\0\0\0\1Bud1" if path.endswith("Store") else jpeg(40 + at) for at, path in enumerate(where)]
    put(root / "train" / "images.tfrec", tfrecord(films))
    put(root / "train" / "paths.tfrec", tfrecord(path.encode() for path in where))
    return root


def medmnist(path: Path, side: int = 28, findings: int = 1, classes: int = 2, count: int = 6) -> Path:
    """An archive of `count` films a split, each filled with its own number."""
    arrays = {}
    for split in ("train", "val", "test"):
        films = np.arange(count, dtype=np.uint8)
        arrays[f"{split}_images"] = np.broadcast_to(films[:, None, None], (count, side, side))
        rows = (films[:, None] + np.arange(findings)) % classes
        arrays[f"{split}_labels"] = rows.astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def write_medmnist(root: Path) -> Path:
    return medmnist(root / "pneumoniamnist.npz")


def dicom(path: Path, patient: str, uid: str, rows: int = 8) -> Path:
    """An 8-bit film, or an object without pixels where `rows` is 0."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = uid
    film.PatientID, film.PatientSex, film.PatientAge, film.ViewPosition = patient, "F", "034Y", "PA"
    film.Modality, film.BodyPartExamined = "CR", "CHEST"
    if rows:
        film.Rows, film.Columns, film.SamplesPerPixel, film.PhotometricInterpretation = rows, 9, 1, "MONOCHROME2"
        film.BitsAllocated = film.BitsStored = 8
        film.HighBit, film.PixelRepresentation = 7, 0
        film.PixelData = bytes(range(9)) * rows
    path.parent.mkdir(parents=True, exist_ok=True)
    film.save_as(path, enforce_file_format=True)
    return path


def write_dicom(root: Path) -> Path:
    for index in range(8):
        label = "pneumonia" if index % 2 else "normal"
        dicom(root / label / f"study{index // 4}" / f"{index}.dcm", f"p{index // 2}-{label}", f"1.2.3.{index + 1}")
    return root


def write_ham10000(root: Path) -> Path:
    lines = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for index in range(8):
        put(root / f"part_{1 + index // 4}" / f"ISIC_{index}.jpg", jpeg(50 + index))
        lines.append(f"HAM_{index // 2},ISIC_{index},{'mel' if index // 2 % 2 else 'nv'},histo,{30 + index},male,back")
    put(root / "HAM10000_metadata.csv", "\n".join(lines).encode())
    return root


def write_aptos(root: Path) -> Path:
    for index in range(8):
        put(root / "train_images" / f"{index:03x}.png", jpeg(50 + index))
    rows = [f"{index:03x},{index % 2}" for index in range(8)]
    put(root / "train.csv", "\n".join(["id_code,diagnosis", *rows]).encode())
    put(root / "sample_submission.csv", b"id_code,diagnosis\n000,0\n")
    return root


def write_eyes(root: Path) -> Path:
    for index in range(4):
        for side in ("left", "right"):
            put(root / "normal" / f"{index}_{side}.jpg", jpeg(50 + index))
            put(root / "glaucoma" / f"{100 + index}_{side}.jpg", jpeg(90 + index))
        put(root / "glaucoma" / f"_{index // 2}_{7000 + index}.jpg", jpeg(150 + index))
    return root


SAMPLES: dict[str, Callable[[Path], Path]] = {
    "kermany": write_kermany,
    "folder": write_folder,
    "csv": write_csv,
    "ham10000": write_ham10000,
    "aptos": write_aptos,
    "eyes": write_eyes,
    "tfrecord": write_tfrecord,
    "medmnist": write_medmnist,
    "dicom": write_dicom,
    "phantom": lambda root: Path("phantom:10"),
}
"""A row for each row of SOURCES: writes below the folder it is given and returns the root to read."""
