"""A reader of retinas that is known by heart: its three classes are the means of red, green and blue."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.uid import OphthalmicPhotography8BitImageStorage

from dicom.films import dataset, file
from reader.colours import write_colour_bundle

LABELS = ("cataract", "glaucoma", "drusen")


def write_retina_bundle(out: Path) -> Path:
    """The logit of each class is the mean of its channel / 16."""
    return write_colour_bundle(out, "fundus", LABELS, weights=np.eye(3) / 16)


def retina(level: tuple[int, int, int] = (140, 180, 130), side: int = 64) -> np.ndarray[Any, Any]:
    """A disc of one colour on black."""
    rows, columns = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.where((np.hypot(rows, columns) < side / 2)[..., None], level, 0).astype(np.uint8)


def photograph(number: int = 1, pixels: Any = None, syntax: str = "", **header: Any) -> bytes:
    """A photograph of a right eye in colour; compressed where a transfer syntax is named."""
    array = retina() if pixels is None else pixels
    attributes = {
        "SOPClassUID": OphthalmicPhotography8BitImageStorage,
        "Modality": "OP",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "ImageLaterality": "R",
    }
    without = ("BodyPartExamined", "ViewPosition")
    content = file(dataset(number, array, without, **attributes | header))
    if not syntax:
        return content
    made = dcmread(io.BytesIO(content))
    made.compress(syntax, generate_instance_uid=False)
    return file(made)
