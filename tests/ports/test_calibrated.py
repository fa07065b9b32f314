"""Every port makes of a logit the probability that lucency makes of it, by whatever calibration a card states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lucency.evaluate.calibration import Calibration, apply, probabilities

CASES: dict[str, tuple[str, dict[str, tuple[float, ...]], int]] = {
    "none": ("binary", {}, 1),
    "temperature": ("multiclass", {"temperature": (1.7,)}, 3),
    "platt": ("multilabel", {"slope": (0.8, 1.3), "offset": (2.2, -0.4)}, 2),
    "beta": ("binary", {"a": (0.9,), "b": (1.4,), "c": (-0.3,)}, 1),
    "isotonic": ("binary", {"logits": (-2.0, 0.5, 3.0), "probabilities": (0.05, 0.4, 0.97)}, 1),
}


@pytest.mark.parametrize("method", CASES)
def test_probabilities_are_the_readers(ask: Callable[[list[str]], list[str]], method: str) -> None:
    task, parameters, findings = CASES[method]
    logits = np.random.default_rng(0).normal(0, 6, size=(50, findings)).astype(np.float32)
    logits[0], logits[1], logits[2] = 300.0, -300.0, 0.5  # what overflows, and a corner of the polyline
    lists = ";".join(f"{name}={','.join(map(repr, values))}" for name, values in parameters.items()) or "-"
    told = ask([f"calibrated {task} {method} {lists} {','.join(map(repr, row))}" for row in logits.tolist()])
    expected = probabilities(apply(Calibration(method, parameters), logits), task)  # type: ignore[arg-type]
    np.testing.assert_allclose([list(map(float, line.split())) for line in told], expected, rtol=1e-6, atol=1e-37)
