"""From a film to the two objects that answer it: a structured report, and the map over the film.

The report is a TID 1500 of PS3.16, a Comprehensive SR in a series of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import SecondaryCaptureImageStorage

from lucency import __version__
from lucency.bundle import Bundle
from lucency.dicom.acceptance import OF_THE_STUDY, Accepted, Kind, accept, kind_of
from lucency.dicom.common_attributes import NOTICE, SERIES, answer_uid, file_bytes, set_common_attributes, uid_of
from lucency.evaluate.predictions import UNCERTAIN
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


PROBABILITY = Code("122157", "DCM", "Probability")
THRESHOLD = Code("122411", "DCM", "Threshold Value")
COMMENT = Code("121106", "DCM", "Comment")
NO_UNITS = Code("1", "UCUM", "no units")
VERDICT = Code("VERDICT", "99LUCENCY", "Verdict")

PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("272519000", "SCT", "Absent")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")
FINDINGS: dict[str, Code] = {
    "pneumonia": Code("233604007", "SCT", "Pneumonia"),
    "covid": Code("840539006", "SCT", "COVID-19"),
    "tuberculosis": Code("56717001", "SCT", "Tuberculosis"),
    "cardiomegaly": codes.SCT.Cardiomegaly,
    "effusion": codes.SCT.PleuralEffusion,
    "edema": codes.SCT.PulmonaryEdema,
    "pneumothorax": codes.SCT.Pneumothorax,
    "cataract": Code("193570009", "SCT", "Cataract"),
    "diabetic_retinopathy": Code("4855003", "SCT", "Diabetic retinopathy"),
    "glaucoma": Code("23986001", "SCT", "Glaucoma"),
    "melanoma": Code("372244006", "SCT", "Malignant melanoma"),
    "basal_cell_carcinoma": Code("254701007", "SCT", "Basal cell carcinoma of skin"),
    "glioma": Code("393564001", "SCT", "Glioma"),
    "meningioma": Code("302820008", "SCT", "Intracranial meningioma"),
    "normal": codes.SCT.Normal,
}
"""A bundle's label → its code, of SNOMED CT: of PS3.16 by pydicom's dictionary; COVID-19 as in the EU Digital COVID
Certificate's value set of diseases. Any other label is coded in our own scheme."""
SAME = {
    "covid_19": "covid",
    "covid19": "covid",
    "pleural_effusion": "effusion",
    "pulmonary_edema": "edema",
    "oedema": "edema",
    "mel": "melanoma",
    "bcc": "basal_cell_carcinoma",
}
"""Other names of these labels."""
SCHEME = "99LUCENCY"
SIDES = {"L": codes.SCT.Left, "R": codes.SCT.Right}


def finding(label: str) -> Code:
    """The code of a label. A code value has at most 16 characters, so that of a long label ends in its hash."""
    plain = re.sub(r"[ -]", "_", label.lower())
    if code := FINDINGS.get(SAME.get(plain, plain)):
        return code
    word = re.sub(r"[^A-Z0-9]+", "_", label.upper()).strip("_")
    tail = hashlib.sha256(label.encode()).hexdigest()[:6].upper()
    return Code(word if 0 < len(word) <= 16 else f"{word[:9]}_{tail}", SCHEME, label[:64])


def report(reading: Reading, header: Dataset, bundle: Bundle, at: datetime) -> Dataset:
    """The report of a reading.

    Args:
        reading: by `bundle`.
        header: of the film, see `Accepted.header`.
        bundle: what read it.
        at: the time that the report states.
    """
    uid, card = str(header.SOPInstanceUID), bundle.card
    labels = card.labels[1:] if card.task == "binary" else card.labels  # a finding for each probability
    content = MeasurementReport(
        observation_context=_observer(bundle),
        procedure_reported=kind_of(card.modality).procedure,
        imaging_measurements=[_group(reading, index, label, header, bundle) for index, label in enumerate(labels)],
    )
    made = ComprehensiveSR(
        evidence=[header],
        content=content[0],
        series_instance_uid=answer_uid(uid, bundle.digest, "report series"),
        series_number=SERIES["report"],
        sop_instance_uid=answer_uid(uid, bundle.digest, "report"),
        instance_number=1,
        manufacturer="lucency",
        is_complete=True,
        is_final=False,
    )
    for item in made.get("ContributingEquipmentSequence", []):
        item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S")  # highdicom states itself, at a time of its own
    made.CodingSchemeIdentificationSequence = [_own_scheme()]
    made.SeriesDescription = f"lucency: report ({NOTICE})"
    return set_common_attributes(made, header, at)


def _own_scheme() -> Dataset:
    """What says that SCHEME is private: PS3.3 C.12.1.1.9."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = SCHEME
    scheme.CodingSchemeName = "Labels of lucency's bundles, of no other scheme"
    scheme.CodingSchemeResponsibleOrganization = "lucency"
    return scheme


def _observer(bundle: Bundle) -> ObservationContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", bundle.digest),
        name="lucency",
        manufacturer_name="lucency",
        model_name=bundle.card.name[:64],
        serial_number=bundle.digest,
    )
    return ObservationContext(ObserverContext(codes.DCM.Device, device))


def _group(
    reading: Reading, index: int, label: str, header: Dataset, bundle: Bundle
) -> MeasurementsAndQualitativeEvaluations:
    """One finding (TID 1501): probability, threshold, verdict, by which algorithm and from which image."""
    uid, card = str(header.SOPInstanceUID), bundle.card
    measured = [] if reading.withheld else [_number(PROBABILITY, float(reading.probabilities[index]))]
    if card.task != "multiclass":  # there the most probable label is called, without a threshold
        measured.append(_number(THRESHOLD, card.thresholds[index]))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(answer_uid(uid, bundle.digest, f"finding {index}"), label),
        finding_type=finding(label),
        algorithm_id=_algorithm(bundle),
        finding_sites=_sites(header, kind_of(card.modality)),
        measurements=measured,
        qualitative_evaluations=[QualitativeEvaluation(VERDICT, _verdict(reading, label))],
        source_images=[SourceImageForMeasurementGroup(header.SOPClassUID, uid)],
    )
    for words in (*reading.warnings, f"{NOTICE}."):
        group[0].ContentSequence.append(TextContentItem(COMMENT, words, RelationshipTypeValues.CONTAINS))
    return group


def _sites(header: Dataset, kind: Kind) -> list[FindingSite] | None:
    if kind.site is None:
        return None
    return [FindingSite(kind.site, SIDES.get(header.ImageLaterality) if kind.paired else None)]


def _number(name: Code, value: float) -> Measurement:
    # A decimal string holds 16 characters; six decimals are more than a probability deserves.
    return Measurement(name, round(value, 6), NO_UNITS)


def _algorithm(bundle: Bundle) -> AlgorithmIdentification:
    """TID 4019: name, version, and as parameters what the numbers depend on."""
    card = bundle.card
    point, calibration = card.operating_point, card.calibration
    return AlgorithmIdentification(
        name=f"lucency: {card.name}"[:64],
        version=f"lucency {__version__}, bundle {bundle.digest[:12]}",
        parameters=[
            f"bundle sha256 {bundle.digest}",
            f"calibrated by {calibration.method}, fitted on {calibration.fitted_on or 'nothing'}",
            f"threshold chosen by {point.chosen_by or 'default'}, on {point.chosen_on or 'nothing'}",
        ],
    )


def _verdict(reading: Reading, label: str) -> Code:
    if reading.verdict == UNCERTAIN:
        return INDETERMINATE
    return PRESENT if label in reading.verdict.split("|") else ABSENT
