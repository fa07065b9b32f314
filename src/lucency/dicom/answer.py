"""From a film to the two objects that answer it: a structured report and the map over the film."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from lucency.bundle import Bundle
from lucency.dicom.acceptance import COPIED, open_chest
from lucency.dicom.common_attributes import IMPLEMENTATION, NOTICE, SERIES, answer_uid, set_common_attributes
from lucency.dicom.report import report
from lucency.film import Film
from lucency.film.limits import damaged
from lucency.native_output import quiet, quiet_dicom
from lucency.paint import Legend, overlay
from lucency.paint.sheets import scale_bar
from lucency.preprocess import Preprocess
from lucency.reader import Reader, Reading


@dataclass(frozen=True)
class Part:
    """One DICOM object of an answer."""

    what: str
    """`report` or `overlay`."""
    uid: str
    """SOP Instance UID."""
    content: bytes
    """The file, with preamble and header."""


@dataclass(frozen=True)
class Answer:
    """What is sent back for one film."""

    reading: Reading
    parts: tuple[Part, ...]
    """The report and the overlay."""


def answer(data: bytes, reader: Reader, at: datetime, name: str = "film") -> Answer:
    """Read a DICOM film and write its answer.

    The UIDs follow from the film's and the bundle's, so that a repeat names the same objects; `at` is the one thing in
    them that a repeat would change.

    Args:
        data: a DICOM file.
        reader: who reads it.
        at: the time that the answer states.
        name: what messages call the film.

    Raises:
        FilmError: no film that is answered; see `open_chest`.
    """
    film, header = open_chest(data, name)
    reading = reader.read(film)
    try:
        with quiet, quiet_dicom:
            made = {
                "report": report(reading, header, reader.bundle, at),
                "overlay": secondary_capture(film, reading, reader.preprocess, header, reader.bundle, at),
            }
            parts = tuple(Part(what, str(one.SOPInstanceUID), _file(one)) for what, one in made.items())
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # a header with values that no answer can hold
        raise damaged("DICOM header", error).prefixed(name) from error
    return Answer(reading, parts)


def _file(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


HEIGHT = 1024
"""Pixels of a film in its overlay at most: the map is far coarser, and the film itself lies beside it."""
LINE = 26
"""Height of the line above the picture, pixels."""
OF_THE_IMAGE = {"SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "PatientOrientation"}
NARROW = 360
"""Pixels in width that the line above needs at least."""


def secondary_capture(
    film: Film, reading: Reading, preprocess: Preprocess, header: Dataset, bundle: Bundle, at: datetime
) -> Dataset:
    """The painted film; `header` is that of `lucency.dicom.acceptance.copied`, `at` when it was read."""
    uid = str(header.SOPInstanceUID)
    made = Dataset()
    for keyword in COPIED:
        if keyword not in OF_THE_IMAGE:
            setattr(made, keyword, header.get(keyword))
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = answer_uid(uid, bundle.digest, "overlay")
    made.SeriesInstanceUID = answer_uid(uid, bundle.digest, "overlay series")
    made.SeriesNumber, made.InstanceNumber = SERIES["overlay"], 1
    made.Modality, made.ConversionType, made.BodyPartExamined = "OT", "WSD", "CHEST"
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.SeriesDescription = f"lucency: overlay ({NOTICE})"
    made.DerivationDescription = f"map of {reading.finding} by {bundle.card.name} {bundle.digest[:12]} over the film"
    made.SourceImageSequence = Sequence([_reference(header)])
    made.PatientOrientation = header.PatientOrientation or ""
    made.BurnedInAnnotation = "YES"
    _set_pixels(made, picture(film, reading, preprocess, bundle))
    made.file_meta = _meta(made.SOPInstanceUID)
    return set_common_attributes(made, header, at)


def picture(film: Film, reading: Reading, preprocess: Preprocess, bundle: Bundle) -> Image.Image:
    """Film and map with their notice, the scale beside, the answer above; mode RGB. No patient is named."""
    legend = Legend(finding=reading.finding, mark=NOTICE)
    painted = overlay(_smaller(film), reading.map, preprocess, legend)
    bar = scale_bar(painted.height, legend)
    page = Image.new("RGB", (max(NARROW, painted.width + bar.width + 8), painted.height + LINE), "white")
    page.paste(painted, (0, LINE))
    page.paste(bar, (painted.width + 8, LINE))
    point = bundle.card.operating_point.threshold
    line = f"{reading.finding} {reading.probability:.2f}, threshold {point:.2f}: {reading.verdict or 'none'}"
    ImageDraw.Draw(page).text((4, 4), f"{line}. {NOTICE}.", fill="black", font=ImageFont.load_default(14))
    return page


def _smaller(film: Film) -> Film:
    if film.height <= HEIGHT:
        return film
    size = max(1, round(film.width * HEIGHT / film.height)), HEIGHT
    return Film(np.asarray(Image.fromarray(film.gray8()).resize(size, Image.Resampling.BOX)))


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _set_pixels(made: Dataset, page: Image.Image) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.Rows, made.Columns = page.height, page.width
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    content = page.tobytes()
    made.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))


def _meta(uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION
    return meta
