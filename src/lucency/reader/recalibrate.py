"""The same network with another calibration, threshold and abstention, fitted to a site's films."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Abstention, Bundle, Calibration, Card, Metric, OperatingPoint, write_bundle
from lucency.bundle.store import GOLDEN, Golden, golden_bytes, parse_golden
from lucency.evaluate.operating_point import OperatingPoint as FittedPoint
from lucency.evaluate.predictions import Predictions
from lucency.evaluate.recalibration import (
    CrossFitted,
    Gain,
    Recalibration,
    RecalibrationConfig,
    cross_fit,
    fit_recalibration,
    recalibration_gain,
)
from lucency.reader.outputs import calibrated

EVIDENCE = "recalibration.json"
"""The file in the new bundle that says what was fitted and what it is worth."""


@dataclass(frozen=True)
class Recalibrated:
    """What was fitted on all films, and its worth on films it was not fitted on."""

    card: Card
    """Of the new bundle, but for the hashes of its files."""
    gains: tuple[Gain, ...]
    crossfitted: CrossFitted
    folds: int
    balanced: bool = False
    """Whether each class weighs the same in log loss, Brier score and calibration errors."""


def recalibrate(
    card: Card,
    predictions: Predictions,
    asked: RecalibrationConfig,
    on: str,
    folds: int = 10,
    resamples: int = 1000,
    let_in: NDArray[np.bool_] | None = None,
) -> Recalibrated:
    """Fit calibration, threshold and abstention, and measure the gain by cross-validation by patient.

    Args:
        card: of the bundle whose answers `predictions` holds.
        predictions: of films that the network was not trained on.
        asked: what to fit.
        on: which films, in words, for the card.
        folds: of the cross-validation.
        resamples: bootstrap draws for the intervals.
        let_in: (n,), the films that the bundle's gate takes; the others stay unanswered. None: all.

    Raises:
        UsageError: the method, rule or coverage makes no sense for the task.
        SourceError: too few films or patients of a label.
    """
    fitted = fit_recalibration(predictions, asked, on)
    crossed = _gated(cross_fit(predictions, asked, folds), let_in)
    predictions = replace(predictions, costs=card.costs)
    before = (predictions, predictions.called(card.operating_point.threshold))
    found = recalibration_gain(before, (crossed.predictions, crossed.called), resamples, balanced=asked.balanced)
    new = new_card(card, fitted, asked, crossed, found, on, folds)
    return Recalibrated(new, found, crossed, folds, asked.balanced)


def _gated(crossed: CrossFitted, let_in: NDArray[np.bool_] | None) -> CrossFitted:
    if let_in is None or let_in.all():
        return crossed
    answered = crossed.predictions.answered
    both = let_in if answered is None else answered & let_in
    return replace(crossed, predictions=replace(crossed.predictions, answered=both))


def kept_point(card: Card) -> FittedPoint:
    """The card's operating point as `RecalibrationConfig.kept` takes it."""
    point = card.operating_point
    nothing = float("nan")
    return FittedPoint(
        point.threshold,
        point.chosen_by,
        point.chosen_on,
        nothing if point.sensitivity is None else point.sensitivity,
        nothing if point.specificity is None else point.specificity,
    )


def kept_logits(card: Card) -> tuple[float, ...]:
    """The network's logits at the card's thresholds, by bisection: every calibration of findings rises with the logit.

    0 where no logit reaches the threshold.
    """
    thresholds = np.array(card.thresholds, dtype=np.float32)
    low, high = np.full(card.findings, -64.0), np.full(card.findings, 64.0)
    for _ in range(80):
        middle = (low + high) / 2
        reached = calibrated(card, middle[None].astype(np.float32))[0] >= thresholds
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return tuple(round(at, 6) + 0.0 if -63 < at < 63 else 0.0 for at in high.tolist())


def new_card(
    card: Card,
    fitted: Recalibration,
    asked: RecalibrationConfig,
    crossed: CrossFitted,
    found: tuple[Gain, ...],
    on: str,
    folds: int,
) -> Card:
    """The card with what was fitted, and its figures by cross-validation in place of those that hold no longer."""
    changes: dict[str, Any] = {"operating_point": _point(fitted.point)}
    if fitted.calibration:
        own = fitted.calibration
        changes["calibration"] = Calibration(method=own.method, parameters=dict(own.parameters), fitted_on=on)
    if asked.costs is not None:
        changes["costs"] = asked.costs
    alike = "; each class weighs the same in losses and ECE" if asked.balanced else ""
    changes["abstention"] = _abstention(fitted, asked, crossed, found, on)
    changes["metrics"] = tuple(
        Metric(
            name=gain.name,
            value=gain.after.value,
            low=gain.after.low,
            high=gain.after.high,
            data=on,
            split=f"{folds}-fold cross-validation of the calibration, by patient{alike}",
        )
        for gain in found
        if gain.after.value is not None
    )
    return Card.model_validate({**card.model_dump(), **{name: _plain(value) for name, value in changes.items()}})


def write_recalibrated(bundle: Bundle, new: Recalibrated, out: Path) -> Card:
    """Write the bundle again with the new card, and the evidence beside it.

    Raises:
        OutputError: `out` holds a bundle already, or cannot be written.
        BundleError: a file of the bundle has changed since it was written.
    """
    files: dict[str, bytes | Path] = {name: bundle.read(name) for name in bundle.card.files}
    if GOLDEN in files:
        files[GOLDEN] = _golden_again(parse_golden(bundle.read(GOLDEN), str(bundle.path)), new.card)
    files[EVIDENCE] = (json.dumps(evidence(bundle, new), indent=2, ensure_ascii=False) + "\n").encode()
    return write_bundle(out, new.card, files)


def _golden_again(golden: Golden, card: Card) -> bytes:
    """The golden answers with probabilities by the new calibration."""
    logits = np.array([film.logits for film in golden.films], dtype=np.float32)
    films = [
        film.model_copy(update={"probabilities": tuple(row)})
        for film, row in zip(golden.films, calibrated(card, logits).tolist(), strict=True)
    ]
    return golden_bytes(golden.model_copy(update={"films": tuple(films)}))


def evidence(bundle: Bundle, new: Recalibrated) -> dict[str, Any]:
    """The content of EVIDENCE."""
    return {
        "from": {"name": bundle.card.name, "card_sha256": bundle.digest},
        "films": len(new.crossfitted.predictions),
        "patients": int(np.unique(new.crossfitted.predictions.groups()).size),
        "folds": new.folds,
        "calibration": new.card.calibration.model_dump(mode="json"),
        "operating_point": new.card.operating_point.model_dump(mode="json"),
        **({} if new.card.costs is None else {"costs": new.card.costs.model_dump(mode="json")}),
        "abstention": new.card.abstention.model_dump(mode="json"),
        "gains": [asdict(gain) for gain in new.gains],
    }


def _point(point: FittedPoint) -> OperatingPoint:
    unknown = {name: None for name in ("sensitivity", "specificity") if np.isnan(getattr(point, name)).any()}
    return OperatingPoint(**(asdict(point) | unknown))


def _abstention(
    fitted: Recalibration, asked: RecalibrationConfig, crossed: CrossFitted, found: tuple[Gain, ...], on: str
) -> Abstention:
    if not fitted.least or asked.coverage is None:
        return Abstention()
    after = {gain.name: gain.after.value for gain in found}
    return Abstention(
        method="conformal",
        coverage=asked.coverage,
        least=fitted.least,
        fitted_on=on,
        films=len(crossed.predictions),
        answered=after["answered"],
        accuracy=after["answered_accuracy"],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.model_dump()
