"""From a film to the two objects that answer it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset, dcmwrite

from lucency.dicom.overlay import secondary_capture
from lucency.dicom.report import report
from lucency.dicom.sources import open_chest
from lucency.film.quiet import dicom_quiet, quiet
from lucency.film.refuse import damaged
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
        with quiet, dicom_quiet:
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
