"""From a film to the two objects that answer it: a structured report, and the map over the film."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from lucency.bundle import Bundle
from lucency.dicom.acceptance import OF_THE_STUDY, Accepted, accept
from lucency.dicom.common_attributes import NOTICE, SERIES, answer_uid, file_bytes, set_common_attributes
from lucency.dicom.kinds import kind_of
from lucency.dicom.report import report
from lucency.film import Film
from lucency.film.limits import damaged, printable
from lucency.lungs import lung_outline
from lucency.modality import MODALITIES
from lucency.native_output import quiet, quiet_dicom
from lucency.paint import Legend, overlay
from lucency.preprocess import Preprocess
from lucency.reader import Reader, Reading

MAX_HEIGHT = 1024
"""Pixels of a film in its overlay: the map is far coarser, and the film itself lies beside it."""
LINE = 26
"""Height of the line above the picture, pixels."""
MIN_WIDTH = 360
"""Pixels that this line needs."""
_CONTENT = "; content sha256 "


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


def answer(source: bytes | Accepted, reader: Reader, at: datetime, name: str = "film") -> Answer:
    """Read a DICOM film and write its answer.

    The UIDs follow from the film's and the bundle's, so that a repeat names the same objects and differs in `at` only.

    Args:
        source: a DICOM file, or one that was accepted.
        reader: an open bundle.
        at: the time that the answer states.
        name: what messages call the film.

    Raises:
        FilmError: the film is not answered; see `accept`.
    """
    accepted = accept(source, name, reader.card.modality) if isinstance(source, bytes) else source
    reading = reader.read(accepted.film)
    try:
        with quiet, quiet_dicom:
            made = {
                "report": report(reading, accepted.header, reader.bundle, at),
                "overlay": secondary_capture(accepted, reading, reader.preprocess, reader.bundle, at),
            }
            parts = tuple(Part(what, str(one.SOPInstanceUID), file_bytes(one)) for what, one in made.items())
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # a header with values that no answer can hold
        raise damaged("DICOM header", error).prefixed(printable(name)) from error
    return Answer(reading, parts)


def secondary_capture(
    accepted: Accepted, reading: Reading, preprocess: Preprocess, bundle: Bundle, at: datetime
) -> Dataset:
    """The painted film as a secondary capture, in a series of its own, its notice burnt in."""
    header, made = accepted.header, Dataset()
    for keyword in OF_THE_STUDY:
        setattr(made, keyword, header.get(keyword))
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = answer_uid(accepted.uid, bundle.digest, "overlay")
    made.SeriesInstanceUID = answer_uid(accepted.uid, bundle.digest, "overlay series")
    made.SeriesNumber, made.InstanceNumber = SERIES["overlay"], 1
    made.Modality, made.ConversionType = "OT", "WSD"
    _set_part(made, header, bundle)
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.SeriesDescription = f"lucency: overlay ({NOTICE})"
    shown = f"map of {reading.finding} by {bundle.card.name} {bundle.digest[:12]} over the film"
    made.DerivationDescription = f"{shown}{_CONTENT}{accepted.content}"
    film = Dataset()
    film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    made.SourceImageSequence = Sequence([film])
    made.PatientOrientation = header.PatientOrientation or ""
    made.BurnedInAnnotation = "YES"
    _set_pixels(made, picture(accepted.film, reading, preprocess, bundle))
    return set_common_attributes(made, header, at)


def _set_part(made: Dataset, header: Dataset, bundle: Bundle) -> None:
    kind = kind_of(bundle.card.modality)
    if kind.body_part:
        made.BodyPartExamined = kind.body_part
    if kind.paired:
        made.Laterality = header.ImageLaterality  # PS3.3 C.7.3.1: type 2C, of a paired part


def content_of(overlay: Path) -> str:
    """Which `Accepted.content` an overlay shows; "" if it does not say or cannot be read."""
    with contextlib.suppress(OSError, InvalidDicomError, AttributeError):
        stated = dcmread(overlay, specific_tags=["DerivationDescription"]).DerivationDescription
        return str(stated).rpartition(_CONTENT)[2] if _CONTENT in stated else ""
    return ""


def picture(film: Film, reading: Reading, preprocess: Preprocess, bundle: Bundle) -> Image.Image:
    """Film and map with their notice, the answer above, the key below; mode RGB. It names no patient."""
    small = _reduced(film, preprocess.channels)
    kind = MODALITIES[bundle.card.modality]
    legend, chest = Legend(finding=reading.finding, mark=NOTICE, kind=kind), kind.lungs
    painted = overlay(small, reading.map, preprocess, legend, lungs=lung_outline(small.gray8()) if chest else None)
    font, said = ImageFont.load_default(14), f"{reading.answer}. {NOTICE}."
    needed = MIN_WIDTH if chest else max(MIN_WIDTH, round(font.getlength(said)) + 8)  # the names of three classes
    page = Image.new("RGB", (max(needed, painted.width), painted.height + 2 * LINE), "white")
    page.paste(painted, (0, LINE))
    pen = ImageDraw.Draw(page)
    pen.text((4, 4), said, fill="black", font=font)
    pen.text((4, LINE + painted.height + 4), legend.key, fill="black", font=font)
    return page


def _reduced(film: Film, channels: int) -> Film:
    if film.height <= MAX_HEIGHT:
        return film
    size = max(1, round(film.width * MAX_HEIGHT / film.height)), MAX_HEIGHT
    full = film.gray8() if channels == 1 else film.rgb8()
    small = np.asarray(Image.fromarray(full).resize(size, Image.Resampling.BOX))
    return Film(small) if channels == 1 else Film.of_rgb(small)


def _set_pixels(made: Dataset, page: Image.Image) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.Rows, made.Columns = page.height, page.width
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    content = page.tobytes()
    made.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
