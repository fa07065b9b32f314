"""The reading as a structured report: TID 1500 of PS3.16, a Comprehensive SR in a series of its own."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime

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
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lucency import __version__
from lucency.bundle import Bundle
from lucency.dicom.common_attributes import NOTICE, SERIES, answer_uid, set_common_attributes, uid_of
from lucency.dicom.kinds import Kind, kind_of
from lucency.evaluate.predictions import UNCERTAIN
from lucency.reader import Reading

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
