"""A bundle calibrated again after its export: the JavaScript port gives the probabilities of lucency's reader."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lucency.evaluate.calibration import Calibration, apply, probabilities

PORT = Path(__file__).parents[2] / "src/lucency/web/page/lucency.js"
CASES: dict[str, tuple[str, dict[str, tuple[float, ...]], int]] = {
    "none": ("binary", {}, 1),
    "temperature": ("multiclass", {"temperature": (1.7,)}, 3),
    "platt": ("multilabel", {"slope": (0.8, 1.3), "offset": (2.2, -0.4)}, 2),
    "beta": ("binary", {"a": (0.9,), "b": (1.4,), "c": (-0.3,)}, 1),
    "isotonic": ("binary", {"logits": (-2.0, 0.5, 3.0), "probabilities": (0.05, 0.4, 0.97)}, 1),
}


@pytest.mark.parametrize("method", CASES)
def test_probabilities_are_the_readers(method: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which is not installed")
    task, parameters, findings = CASES[method]
    logits = np.random.default_rng(0).normal(0, 6, size=(50, findings))
    logits[0], logits[1], logits[2] = 300.0, -300.0, 0.5
    card = {"task": task, "calibration": {"method": method, "parameters": parameters}}
    code = (
        f"import {{ calibrated }} from {json.dumps(PORT.as_uri())};"
        f"const card = {json.dumps(card)}; const rows = {json.dumps(logits.tolist())};"
        "console.log(JSON.stringify(rows.map((row) => Array.from(calibrated(card, row)))));"
    )
    told = subprocess.run(
        [node, "--input-type=module", "-e", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr
    expected = probabilities(apply(Calibration(method, parameters), logits), task)  # type: ignore[arg-type]
    np.testing.assert_allclose(json.loads(told.stdout), expected, atol=1e-6)
