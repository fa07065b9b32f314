"""What an engine answers for a batch of films, what a card makes of it, and the bands of its probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency import __version__
from lucency.bundle import Bundle, Card
from lucency.errors import BundleError
from lucency.evaluate.calibration import apply, probabilities
from lucency.evaluate.predictions import UNCERTAIN, least_cost, refers, threshold_words
from lucency.evaluate.selective_prediction import only_label, prediction_sets

UPRIGHT = -2.0
"""Log-odds that a film is upside down, plus its doubt of the features, below which it is plainly upright: nearly all
films have less, and little noise."""
FAR = 2.0
"""Times the limit of `layout`: nothing so far away is a chest, upright or not."""

Floats = NDArray[np.float32]
Squares = NDArray[np.uint8]


@dataclass(frozen=True)
class Outputs:
    """An engine's answers for n films with f findings (1 for a binary task, else one per label)."""

    logits: Floats
    """float32 (n, f), as the network gave them, before calibration."""
    probabilities: Floats
    """float32 (n, f), calibrated; of the positive label for a binary task."""
    maps: Floats
    """float32 (n, f, h, w), signed, in logits."""
    doubts: Floats
    """float32 (n, k), a number for each check of the card's gate."""


@dataclass(frozen=True)
class Engine:
    """An opened network. Either way takes uint8 (n, side, side) or (n, side, side, 3), n > 0, from any thread."""

    batch: Callable[[Squares], Outputs]
    """All threads work on these films; calls wait for each other."""
    submit: Callable[[Squares], Outputs]
    """One thread works on these films; as many calls as there are threads go on at once."""


def calibrated(card: Card, logits: Floats) -> Floats:
    """Logits (n, f) to probabilities (n, f) by the card's calibration, float32.

    Every engine answers with this, not with the output `probability` of an exported network, so that a bundle can be
    calibrated again without a new export.
    """
    return probabilities(apply(card.calibration, logits), card.task).astype(np.float32)


def numbers(answers: Outputs) -> Outputs:
    """The same answers.

    Raises:
        BundleError: one of them is not a number. Compared with a limit or a threshold it would pass for "no doubt".
    """
    if not all(np.isfinite(part).all() for part in (answers.logits, answers.maps, answers.doubts)):
        raise BundleError(
            "expected numbers of the network, got NaN or infinity; its weights are broken: get the bundle again"
        )
    return answers


def accepted(card: Card, answers: Outputs) -> NDArray[np.bool_]:
    """Whether the reader stands by what it calls, bool (n,): its prediction set holds that label alone (if the card
    has abstention), the gate takes the film for one of its kind, and referring it does not cost less. In float32, as
    the ports compare.
    """
    stands = np.asarray(~failed_checks(card, answers).any(axis=1))
    if card.costs is not None:
        stands &= ~refers(card.costs, answers.probabilities)
    if card.abstention.method == "none":
        return stands
    sets = prediction_sets(answers.probabilities, card.task, card.abstention.least)
    return np.asarray(stands & only_label(sets, called_label(card, answers.probabilities)))


def abstains(card: Card) -> bool:
    """Whether there are films that this reader does not answer."""
    costly = card.costs is not None and bool(card.costs.refer)
    return card.abstention.method != "none" or bool(card.gate.checks) or costly


def failed_checks(card: Card, answers: Outputs) -> NDArray[np.bool_]:
    """Which checks of the gate each film fails: bool (n, k)."""
    limits = np.array([check.limit for check in card.gate.checks], dtype=np.float32)
    return np.asarray(answers.doubts > limits)


def failed_names(card: Card, doubts: Floats) -> list[str]:
    """Names of the checks that one film's doubts (k,) fail: of the gate's, and `unlike`.

    `unlike` stands in place of `layout` for a film that is UPRIGHT and not FAR away: a chest all the same, of an adult,
    say. Noise and other pictures are neither upright nor upside down.
    """
    found = dict(zip((check.name for check in card.gate.checks), doubts.tolist(), strict=True))
    limits = {check.name: np.float32(check.limit) for check in card.gate.checks}
    failed = [name for name, number in found.items() if number > limits[name]]
    if not {"layout", "upside_down", "features"} <= found.keys() or found["upside_down"] + found["features"] >= UPRIGHT:
        return failed
    return ["unlike" if name == "layout" and found[name] <= FAR * limits[name] else name for name in failed]


def called_label(card: Card, probabilities: Floats) -> NDArray[np.int64]:
    """The label called for each film (n,), of a task with one label a film."""
    if card.task == "binary":
        return np.asarray(probabilities[:, 0] >= np.float32(card.thresholds[0]), dtype=np.int64)
    if card.costs is not None:
        return least_cost(card.costs, probabilities)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def calls(card: Card, probabilities: Floats) -> NDArray[np.int64]:
    """What is called of each film: 0 or 1 for each finding (n, f), or the one of several classes (n, 1)."""
    if card.task == "multiclass":
        return called_label(card, probabilities)[:, None]
    return np.asarray(probabilities >= np.array(card.thresholds, dtype=np.float32), dtype=np.int64)


def ranked(card: Card, chances: Floats) -> NDArray[np.int64]:
    """The findings or classes (f,) of one film: what is called of several findings first, then the most probable."""
    called = calls(card, chances[None])[0] if card.task == "multilabel" else np.zeros_like(chances)
    return np.lexsort((-chances, -called))


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
