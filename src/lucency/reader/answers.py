"""What an engine answers for a batch, and what a reader says of a film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Card
from lucency.evaluate.calibration import apply, probabilities

Floats = NDArray[np.float32]
Squares = NDArray[np.uint8]


@dataclass(frozen=True)
class Answers:
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
    """An opened network. Either way takes uint8 (n, side, side), n at least 1, and may be called from any thread."""

    batch: Callable[[Squares], Answers]
    """All threads work on these films; calls wait for each other."""
    aside: Callable[[Squares], Answers]
    """One thread works on these films; as many calls as there are threads go on at once."""


@dataclass(frozen=True)
class Reading:
    """What a reader says of one film."""

    name: str
    """Of the film, for its user."""
    verdict: str
    """The label called; for a multilabel task every label called, joined by `|`, or nothing."""
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
    """Reasons to doubt this reading, a sentence each."""

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


def reading(card: Card, name: str, answers: Answers, row: int, warnings: tuple[str, ...]) -> Reading:
    """One row of `answers` as a reading, with the verdict at the card's operating point."""
    chances = answers.probabilities[row]
    called = np.flatnonzero(chances >= card.operating_point.threshold)
    best = int(chances.argmax())
    if card.task == "binary":
        verdict = finding = card.labels[1]
        verdict = finding if len(called) else card.labels[0]
    elif card.task == "multiclass":
        verdict = finding = card.labels[best]
    else:
        verdict, finding = "|".join(card.labels[i] for i in called), card.labels[best]
    return Reading(name, verdict, finding, best, chances, answers.logits[row], answers.maps[row], warnings)
