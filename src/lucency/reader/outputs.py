"""What an engine answers for a batch, and what a reader says of a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.errors import BundleError
from lucency.evaluate.calibration import apply, probabilities
from lucency.evaluate.predictions import UNCERTAIN
from lucency.evaluate.selective_prediction import only_label, prediction_sets
from lucency.reader.input_checks import GATE_WORDS, Doubt

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


@dataclass(frozen=True)
class Reading:
    """What a reader says of one film."""

    name: str
    """Of the film, for its user."""
    verdict: str
    """The label called, or `uncertain`: refer. For a multilabel task every label called, joined by `|`, or nothing."""
    called: str
    """The label at the card's threshold, sure or not."""
    finding: str
    """The label that `probability`, `logit` and `map` speak of."""
    index: int
    """Which of the answers that is."""
    probabilities: Floats
    """float32 (f,), calibrated."""
    logits: Floats
    """float32 (f,), before calibration."""
    maps: Floats
    """float32 (f, h, w), signed, in logits."""
    warnings: tuple[str, ...] = ()
    """Reasons to doubt this reading, a sentence each; among them those for `uncertain`."""
    doubts: tuple[str, ...] = ()
    """The same reasons as codes: of `Doubt`, names of the gate's checks, and `several` or `neither` where the
    prediction set does not hold the called label alone. Every port gives the same ones (ports/contract/)."""

    @property
    def probability(self) -> float:
        """Of `finding`."""
        return float(self.probabilities[self.index])

    @property
    def logit(self) -> float:
        """Of `finding`, before calibration."""
        return float(self.logits[self.index])

    @property
    def map(self) -> Floats:
        """float32 (h, w): where the evidence for `finding` (above zero) and against it (below) lies, in logits."""
        found: Floats = self.maps[self.index]
        return found

    def to_json(self) -> dict[str, Any]:
        """What `lucency read --json` prints; the maps are left out."""
        facts: dict[str, Any] = {
            "film": self.name,
            "verdict": self.verdict,
            "called": self.called,
            "finding": self.finding,
            "probability": self.probability,
            "logit": self.logit,
        }
        if len(self.probabilities) > 1:
            facts["probabilities"] = [float(value) for value in self.probabilities]
        return {**facts, "warnings": list(self.warnings)}


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
    has abstention), and the gate takes the film for one of its kind. In float32, as the ports compare.
    """
    stands = np.asarray(~failed_checks(card, answers).any(axis=1))
    if card.abstention.method == "none":
        return stands
    sets = prediction_sets(answers.probabilities, card.task, card.abstention.least)
    return np.asarray(stands & only_label(sets, _called(card, answers.probabilities)))


def abstains(card: Card) -> bool:
    """Whether there are films that this reader does not answer."""
    return card.abstention.method != "none" or bool(card.gate.checks)


def failed_checks(card: Card, answers: Outputs) -> NDArray[np.bool_]:
    """Which checks of the gate each film fails: bool (n, k)."""
    limits = np.array([check.limit for check in card.gate.checks], dtype=np.float32)
    return np.asarray(answers.doubts > limits)


def reading(card: Card, name: str, answers: Outputs, row: int, doubts: Sequence[Doubt]) -> Reading:
    """One row of `answers` as a reading, with the verdict at the card's operating point.

    Args:
        card: of the bundle that answered.
        name: of the film.
        answers: an engine's.
        row: which film of them.
        doubts: what was noticed about the film before the network was asked.
    """
    rows = slice(row, row + 1)
    one = Outputs(answers.logits[rows], answers.probabilities[rows], answers.maps[rows], answers.doubts[rows])
    chances = one.probabilities[0]
    best = int(chances.argmax())
    finding = card.labels[1] if card.task == "binary" else card.labels[best]
    called = _word(card, chances)
    reasons = [check.name for check, fails in zip(card.gate.checks, failed_checks(card, one)[0], strict=True) if fails]
    explained = any(doubt.explains for doubt in doubts)
    said = [(doubt.code, doubt.words) for doubt in doubts]
    said += [(reason, GATE_WORDS[reason]) for reason in reasons if not explained]
    stands = bool(accepted(card, one)[0])
    if not stands and not reasons:
        said.append(_undecided(card, chances))
    verdict = called if stands and not any(doubt.refuses for doubt in doubts) else UNCERTAIN
    codes, warnings = zip(*said, strict=True) if said else ((), ())
    return Reading(name, verdict, called, finding, best, chances, one.logits[0], one.maps[0], warnings, codes)


def _called(card: Card, probabilities: Floats) -> NDArray[np.int64]:
    """The label called for each film (n,), of a task with one label a film."""
    if card.task == "binary":
        return np.asarray(probabilities[:, 0] >= np.float32(card.operating_point.threshold), dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def _word(card: Card, chances: Floats) -> str:
    if card.task != "multilabel":
        return card.labels[int(_called(card, chances[None])[0])]
    on = np.flatnonzero(chances >= np.float32(card.operating_point.threshold))
    return "|".join(card.labels[i] for i in on)


def _undecided(card: Card, chances: Floats) -> tuple[str, str]:
    """Why the prediction set does not hold the called label alone: code and words."""
    held = prediction_sets(chances[None], card.task, card.abstention.least)[0]
    names = [label for label, inside in zip(card.labels, held, strict=True) if inside]
    if not names:
        return (
            "neither",
            f"the evidence lies between {' and '.join(card.labels)}, where such films are often read wrongly",
        )
    return "several", f"the evidence does not rule out {' or '.join(names)}"
