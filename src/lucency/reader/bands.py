"""What each stretch of the probability is called: normal, refer, pneumonia, by the card's threshold and abstention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lucency import __version__
from lucency.bundle import Bundle, Card
from lucency.evaluate.predictions import UNCERTAIN, threshold_words
from lucency.reader.outputs import Outputs, accepted, called_label

REFER = "refer"
"""What people read for `uncertain`."""


@dataclass(frozen=True)
class Band:
    """A stretch of the probability that has one verdict."""

    verdict: str
    low: float
    high: float

    def __str__(self) -> str:
        name = REFER if self.verdict == UNCERTAIN else self.verdict
        if self.low == 0:
            return f"{name} below {self.high:.2f}" if self.high < 1 else f"always {name}"
        return f"{name} from {self.low:.2f}" if self.high == 1 else f"{name} {self.low:.2f} to {self.high:.2f}"


def bands(card: Card) -> tuple[Band, ...]:
    """The bands of a binary card from 0 to 1; none for a task in which more than one probability decides.

    Doubts about a film are left out: they refer it at any probability.
    """
    if card.task != "binary":
        return ()
    least = card.abstention.least if card.abstention.method != "none" else ()
    cuts = {card.thresholds[0], *((1 - least[0], least[1]) if least else ())}
    ends = [0.0, *sorted(cut for cut in cuts if 0 < cut < 1), 1.0]
    found: list[Band] = []
    for low, high in pairwise(ends):
        verdict = _verdict(card, (low + high) / 2)
        start = found.pop().low if found and found[-1].verdict == verdict else low
        found.append(Band(verdict, start, high))
    return tuple(found)


def why(found: Sequence[Band], probability: float, verdict: str) -> str:
    """Where a probability lies, if that is what its verdict comes from; else the verdict comes from a doubt.

    >>> why((Band("normal", 0, 0.3), Band("uncertain", 0.3, 0.8), Band("pneumonia", 0.8, 1)), 0.5, "uncertain")
    'between 0.30 and 0.80'
    """
    own = next((band for band in reversed(found) if band.low <= probability), None)
    if own is None or len(found) == 1 or own.verdict != verdict:
        return ""
    if own.low == 0:
        return f"below {own.high:.2f}"
    return f"{own.low:.2f} or more" if own.high == 1 else f"between {own.low:.2f} and {own.high:.2f}"


def bands_line(card: Card) -> str:
    """All bands in a line, `normal below 0.14, refer 0.14 to 0.91, pneumonia from 0.91`; empty without any."""
    return ", ".join(map(str, bands(card)))


def calling(card: Card) -> str:
    """How this card calls a label, in words; a threshold has no part in it where one of several classes is called."""
    if card.costs is not None:
        return "calls the class of least expected cost" + f" ({card.costs.source})" * bool(card.costs.source)
    if card.task == "multiclass":
        return "calls the most probable class"
    point = card.operating_point
    return f"threshold {threshold_words(point.threshold, card.labels)} chosen by {point.chosen_by or 'default'}"


def model_info(bundle: Bundle) -> dict[str, Any]:
    """What every answer in JSON says of the reader: name, digest, labels, threshold, bands, whom it learned from."""
    card = bundle.card
    return {
        "name": card.name,
        "digest": bundle.digest,
        "format": card.model.format,
        "labels": list(card.labels),
        "threshold": None if card.task == "multiclass" else card.operating_point.threshold,
        "bands": [asdict(band) for band in bands(card)],
        "fitted_on": card.calibration.fitted_on,
        "population": card.population.words,
        "lucency": __version__,
    }


def _verdict(card: Card, probability: float) -> str:
    chances = np.array([[probability]], dtype=np.float32)
    nothing = np.zeros((1, 0), dtype=np.float32)
    open_card = card.model_copy(update={"gate": type(card.gate)()})
    stands = accepted(open_card, Outputs(chances, chances, chances, nothing))
    return card.labels[int(called_label(card, chances)[0])] if stands[0] else UNCERTAIN
