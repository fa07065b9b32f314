"""The network's logit at a card's threshold."""

from __future__ import annotations

import pytest

from lucency.bundle import Calibration, Card, Model, OperatingPoint
from lucency.reader.recalibrate import kept_logits


def card(calibration: Calibration, threshold: float) -> Card:
    model = Model(format="litert", file="model.tflite", backbone="mobilenet_v2")
    point = OperatingPoint(threshold=threshold)
    return Card(name="x", labels=("normal", "pneumonia"), model=model, calibration=calibration, operating_point=point)


@pytest.mark.parametrize(
    ("calibration", "threshold", "logit"),
    [
        (Calibration(), 0.5, 0.0),
        (Calibration(), 1 / (1 + 2.718281828**-2), 2.0),
        (Calibration(method="platt", parameters={"slope": (2.0,), "offset": (1.0,)}), 0.5, -0.5),
        (Calibration(method="temperature", parameters={"temperature": (4.0,)}), 1 / (1 + 2.718281828**-1), 4.0),
    ],
)
def test_logit_at_the_threshold_by_hand(calibration: Calibration, threshold: float, logit: float) -> None:
    assert kept_logits(card(calibration, threshold)) == pytest.approx((logit,), abs=1e-4)


def test_a_threshold_that_every_logit_reaches_or_none_keeps_zero() -> None:
    flat = Calibration(method="isotonic", parameters={"logits": (-1.0, 1.0), "probabilities": (0.2, 0.8)})
    assert kept_logits(card(Calibration(), 0.0)) == (0.0,)
    assert kept_logits(card(flat, 0.9)) == (0.0,)
