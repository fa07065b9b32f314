"""Every port makes of a logit the probability that lucency makes of it, by whatever calibration a card states."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lucency.bundle import Abstention, Card, Costs, Model
from lucency.bundle.card import Calibration as CardCalibration
from lucency.evaluate.calibration import APPLY, Calibration, apply, probabilities
from lucency.reader import Outputs
from lucency.reader.outputs import calibrated
from lucency.reader.reading import reading

CALLS = json.loads((Path(__file__).parents[2] / "ports/contract/calls.json").read_text(encoding="utf-8"))
Ask = Callable[[list[str]], list[str]]

CASES: dict[str, tuple[str, dict[str, tuple[float, ...]], int]] = {
    "none": ("binary", {}, 1),
    "temperature": ("multiclass", {"temperature": (1.7,)}, 3),
    "platt": ("multilabel", {"slope": (0.8, 1.3), "offset": (2.2, -0.4)}, 2),
    "beta": ("binary", {"a": (0.9,), "b": (1.4,), "c": (-0.3,)}, 1),
    "dirichlet": (
        "multiclass",
        {"matrix": (0.8, 0.1, -0.2, 0.0, 1.3, 0.4, -0.1, 0.2, 0.9), "offset": (0.5, -1.0, 0.1)},
        3,
    ),
    "isotonic": ("binary", {"logits": (-2.0, 0.5, 3.0), "probabilities": (0.05, 0.4, 0.97)}, 1),
}


@pytest.mark.parametrize("method", CASES)
def test_probabilities_are_the_readers(ask: Ask, method: str) -> None:
    task, parameters, findings = CASES[method]
    logits = np.random.default_rng(0).normal(0, 6, size=(50, findings)).astype(np.float32)
    logits[0], logits[1], logits[2] = 300.0, -300.0, 0.5  # what overflows, and a corner of the polyline
    lists = ";".join(f"{name}={','.join(map(repr, values))}" for name, values in parameters.items()) or "-"
    told = ask([f"calibrated {task} {method} {lists} {','.join(map(repr, row))}" for row in logits.tolist()])
    expected = probabilities(apply(Calibration(method, parameters), logits), task)  # type: ignore[arg-type]
    np.testing.assert_allclose([list(map(float, line.split())) for line in told], expected, rtol=1e-6, atol=1e-37)


def test_every_method_is_tried() -> None:
    assert set(CASES) == set(APPLY)


def test_python_keeps_the_contract_of_calls() -> None:
    for case in CALLS["cases"]:
        method, least = case["calibration"], tuple(case["least"])
        card = Card(
            name="x",
            task="multiclass",
            labels=tuple(CALLS["labels"]),
            model=Model(format="litert", file="m", backbone="none"),
            calibration=CardCalibration(method=method, parameters=CALLS["calibrations"][method]),
            costs=Costs(**case["costs"]) if case["costs"] else None,
            abstention=Abstention(method="conformal", least=least) if least else Abstention(),
        )
        logits = np.array([case["logits"]], dtype=np.float32)
        answers = Outputs(
            logits, calibrated(card, logits), np.zeros((1, 3, 1, 1), np.float32), np.zeros((1, 0), np.float32)
        )
        found = reading(card, "", answers, 0, ())
        np.testing.assert_allclose(found.probabilities, case["probabilities"], rtol=1e-6, atol=1e-37)
        assert (found.called, found.verdict, list(found.doubts)) == (case["called"], case["verdict"], case["doubts"]), (
            case
        )


def test_a_port_keeps_the_contract_of_calls(ask: Ask) -> None:
    lines, chances, expected = [], [], []
    for case in CALLS["cases"]:
        method, costs = case["calibration"], case["costs"] or {}
        lists = ";".join(f"{name}={_words(values)}" for name, values in CALLS["calibrations"][method].items()) or "-"
        rows = ";".join(map(_words, costs.get("called", []))) or "-"
        logits = _words(case["logits"])
        lines.append(f"call {method} {lists} {rows} {_words(costs.get('refer', []))} {_words(case['least'])} {logits}")
        chances.append(f"calibrated multiclass {method} {lists} {logits}")
        expected.append(f"{case['called']} {case['verdict']} {','.join(case['doubts']) or '-'}")
    assert {line.split()[2] for line in expected} == {"-", "costs", "several", "neither"}
    told = ask([*lines, *chances])
    assert told[: len(lines)] == expected
    shares = [list(map(float, line.split())) for line in told[len(lines) :]]
    np.testing.assert_allclose(shares, [case["probabilities"] for case in CALLS["cases"]], rtol=1e-6, atol=1e-37)


def _words(numbers: list[float]) -> str:
    return ",".join(map(repr, numbers)) or "-"
