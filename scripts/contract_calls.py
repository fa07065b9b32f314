"""Write ports/contract/calls.json, which every port keeps: `python scripts/contract_calls.py`.

From the logits of three classes to probabilities and a call, by each calibration of several classes, with and without
costs of errors and prediction sets. Computed from docs/bundle.md, section 3, by what stands here alone: nothing of
lucency is imported.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "ports" / "contract" / "calls.json"
LABELS = ("mel", "nv", "bkl")
CALIBRATIONS: dict[str, dict[str, list[float]]] = {
    "none": {},
    "temperature": {"temperature": [1.5]},
    "platt": {"slope": [0.5, 0.75, 1.25], "offset": [0.25, -0.5, 0.125]},
    "dirichlet": {"matrix": [0.75, -0.125, 0.25, 0.0, 1.25, -0.25, 0.5, 0.125, 0.625], "offset": [0.25, -0.5, 0.125]},
}
COSTS: dict[str, Any] = {
    "none": None,
    "missed melanoma": {"called": [[0, 20, 20], [1, 0, 1], [1, 1, 0]]},
    "and referring": {"called": [[0, 20, 20], [1, 0, 1], [1, 1, 0]], "refer": [0.25, 0.5, 0.5]},
}
SETS: dict[str, list[float]] = {"none": [], "wide": [0.375, 0.5, 0.25], "narrow": [0.875, 0.75, 0.875]}
FILMS = 5
"""Films of each combination; one of them has logits that overflow where they are not taken from their largest."""


def calibrated(method: str, lists: dict[str, list[float]], z: list[float]) -> list[float]:
    """The calibrated logits of one film."""
    if method == "none":
        return z
    if method == "temperature":
        return [value / lists["temperature"][0] for value in z]
    if method == "platt":
        return [a * value + b for a, b, value in zip(lists["slope"], lists["offset"], z, strict=True)]
    log_p = [value - log_sum(z) for value in z]
    rows = [lists["matrix"][3 * i : 3 * i + 3] for i in range(3)]
    return [math.fsum(map(float.__mul__, row, log_p)) + b for row, b in zip(rows, lists["offset"], strict=True)]


def log_sum(z: list[float]) -> float:
    """The logarithm of the sum of the exponentials."""
    return max(z) + math.log(math.fsum(math.exp(value - max(z)) for value in z))


def call(p: list[float], costs: Any, least: list[float]) -> tuple[str, str]:
    """The label called, and why it does not stand, if it does not."""
    called = LABELS[p.index(max(p))]
    if costs:
        paid = [math.fsum(p[i] * costs["called"][i][j] for i in range(3)) for j in range(3)]
        called = LABELS[paid.index(min(paid))]
        if "refer" in costs and math.fsum(map(float.__mul__, p, costs["refer"])) < min(paid):
            return called, "costs"
    kept = [label for label, share, at in zip(LABELS, p, least, strict=False) if share >= at]
    if not least or kept == [called]:
        return called, ""
    return called, "several" if kept else "neither"


def main() -> None:
    """Make and write."""
    draw, cases = random.Random(5), []
    for method, costs, least in itertools.product(CALIBRATIONS, COSTS.values(), SETS.values()):
        for number in range(FILMS):
            logits = [draw.randint(-16, 16) / 4 for _ in LABELS] if number else [900.0, -900.0, 896.0]
            z = calibrated(method, CALIBRATIONS[method], logits)
            p = [math.exp(value - log_sum(z)) for value in z]
            called, doubt = call(p, costs, least)
            said = {"probabilities": [float(f"{share:.9g}") for share in p], "called": called}
            said |= {"verdict": "uncertain" if doubt else called, "doubts": [doubt] if doubt else []}
            cases.append({"calibration": method, "costs": costs, "least": least, "logits": logits, **said})
    stated = {"version": 1, "labels": LABELS, "calibrations": CALIBRATIONS, "cases": cases}
    text = json.dumps(stated, separators=(",", ":")).replace('{"calibration"', '\n{"calibration"')
    OUT.write_text(text + "\n", encoding="utf-8")
    doubts = sorted({doubt for case in cases for doubt in case["doubts"]})
    print(f"{OUT.name}: {len(cases)} calls, {OUT.stat().st_size / 1e3:.0f} kB, doubts {', '.join(doubts)}")


if __name__ == "__main__":
    main()
