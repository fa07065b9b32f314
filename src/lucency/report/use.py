"""What can be answered about using the reader: where it is to be had, what it refuses, what to do before."""

from __future__ import annotations

from lucency import __version__
from lucency.report.checklist import Answer, author, filled, partly
from lucency.report.known import Known
from lucency.report.words import refers

RESEARCH = "Research use only; not a medical device."


def availability(known: Known) -> Answer:
    """The model itself."""
    card = known.card
    return filled(
        f"Bundle '{card.name}': {card.model.format} file, card.json with preprocessing, calibration, threshold and "
        f"hashes; SHA-256 {known.digest}. Licence: {card.licence or 'not stated'}."
    )


def data_sharing(known: Known) -> Answer:
    """Licence of the films."""
    facts = known.judged_on
    if not facts.get("Licence"):
        return author(known)
    return partly(f"Licence of the films judged on: {facts['Licence']} {facts.get('Citation', '')}".strip())


def code_sharing(known: Known) -> Answer:
    """The code."""
    return filled(f"lucency {__version__}, Apache-2.0; the command is in report.json.")


def limits(known: Known) -> Answer:
    """What the card states."""
    said = " ".join(known.card.limits)
    return partly(said or RESEARCH)


def bad_input(known: Known) -> Answer:
    """What happens to films that it should not read."""
    return filled(
        f"A film that cannot be decoded is refused with its reason. Warnings doubt films unlike a radiograph. Refers: "
        f"{refers(known)}."
    )


def before_use(known: Known) -> Answer:
    """At a new site."""
    return partly(
        "Thresholds and probabilities do not carry over between sites: `lucency recalibrate` fits them to labelled "
        "films of the site, `lucency evaluate` measures the result. Approval and training of users are yours to say."
    )


def maps(known: Known) -> Answer:
    """Explanation."""
    exact = "; its mean plus the bias is the logit" if known.card.model.head == "linear" else ""
    return partly(
        f"A map of evidence in logits, computed in the same forward pass{exact}. That maps can be believed was not "
        "measured here: `lucency faith` does."
    )
