"""Small DICOM films made by hand, and the real ones that the package pydicom-data carries."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

MakeDicom = Callable[..., bytes]


def lut(entries: list[int], first: int, bits: int) -> Dataset:
    """One item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


@pytest.fixture
def make_lut() -> Callable[[list[int], int, int], Dataset]:
    return lut


@pytest.fixture
def make_dicom() -> MakeDicom:
    """(h, w) uint8, uint16 or int16 pixels and any header attributes → the bytes of a CR file."""

    def make(
        pixels: Any, *, syntax: str = ExplicitVRLittleEndian, without: tuple[str, ...] = (), **header: Any
    ) -> bytes:
        array = np.asarray(pixels)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["lucency"])
        meta.TransferSyntaxUID = syntax
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        bits = array.dtype.itemsize * 8
        attributes: dict[str, Any] = {
            "SOPClassUID": ComputedRadiographyImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "Modality": "CR",
            "PatientID": "P7",
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": array.shape[0],
            "Columns": array.shape[1],
            "BitsAllocated": bits,
            "BitsStored": bits,
            "PixelRepresentation": int(array.dtype.kind == "i"),
        } | header
        attributes.setdefault("HighBit", attributes["BitsStored"] - 1)
        for keyword, value in attributes.items():
            if keyword not in without:
                setattr(dataset, keyword, value)
        if "PixelData" not in without:
            content = array.tobytes()
            word = "OB" if bits == 8 and syntax != ImplicitVRLittleEndian else "OW"
            dataset.add_new("PixelData", word, content + b"\0" * (len(content) % 2))
        stream = io.BytesIO()
        dcmwrite(stream, dataset, enforce_file_format=True)
        return stream.getvalue()

    return make


@pytest.fixture(scope="session")
def pydicom_data() -> Path:
    """The folder of real DICOM files that the package pydicom-data installs."""
    spec = importlib.util.find_spec("data_store")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package pydicom-data")
    return Path(spec.origin).parent / "data"
