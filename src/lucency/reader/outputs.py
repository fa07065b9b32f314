"""What an engine answers for a batch of films, and what a card makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.errors import BundleError
from lucency.evaluate.calibration import apply, probabilities
from lucency.evaluate.costs import least_cost, refers
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
