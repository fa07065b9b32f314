"""Chest films as a modality sends them, drawn by hand; every identity in them is invented."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian

HEADER: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "StudyDate": "20240305",
    "StudyTime": "101112",
    "AccessionNumber": "A77",
    "Modality": "CR",
    "Manufacturer": "ACME",
    "ReferringPhysicianName": "Hausarzt^Ida",
    "StudyDescription": "Thorax",
    "PatientName": "Müller^Zoë",
    "PatientID": "P7",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "PatientAge": "074Y",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
    "StudyInstanceUID": "1.2.3.4",
    "SeriesInstanceUID": "1.2.3.4.5",
    "StudyID": "S1",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "PatientOrientation": ["L", "F"],
}


def gray(level: int = 160, side: int = 32) -> np.ndarray[Any, Any]:
    """A film of one gray and one other pixel, 12 bits; `level` of 255 is what the network of the tests sees."""
    pixels = np.full((side, side), round(level * 4095 / 255), dtype=np.uint16)
    pixels[0, 0] -= 16
    return pixels


def dataset(number: int = 1, pixels: Any = None, without: tuple[str, ...] = (), **header: Any) -> FileDataset:
    """A CR film, the `number`th of its kind; `header` replaces or adds attributes."""
    array = gray() if pixels is None else np.asarray(pixels)
    bits = array.dtype.itemsize * 8
    made = FileDataset(None, {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    attributes = (
        HEADER
        | {
            "SOPClassUID": ComputedRadiographyImageStorage,
            "SOPInstanceUID": UID(f"1.2.3.4.5.{number}"),
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": array.shape[0],
            "Columns": array.shape[1],
            "BitsAllocated": bits,
            "BitsStored": 12 if bits == 16 else 8,
            "HighBit": 11 if bits == 16 else 7,
            "PixelRepresentation": 0,
        }
        | header
    )
    for keyword, value in attributes.items():
        if keyword not in without:
            setattr(made, keyword, value)
    made.add_new("PixelData", "OW" if bits == 16 else "OB", array.tobytes())
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "1.2")
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "1.2")
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def file(made: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def film(number: int = 1, pixels: Any = None, without: tuple[str, ...] = (), **header: Any) -> bytes:
    """The bytes of such a film."""
    return file(dataset(number, pixels, without, **header))
