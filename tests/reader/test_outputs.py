"""When a reader does not stand by what it calls."""

from __future__ import annotations

import numpy as np
import pytest

from lucency.bundle import Abstention, Card, Check, Gate, Model, OperatingPoint
from lucency.reader import Outputs
from lucency.reader.input_checks import GATE_WORDS, Doubt
from lucency.reader.outputs import abstains, accepted, failed_checks
from lucency.reader.reading import reading

GATE = Gate(checks=(Check(name="layout", limit=2.0, alarms=0.01), Check(name="features", limit=3.0, alarms=0.01)))
SETS = Abstention(method="conformal", least=(0.3, 0.4))


def card(gate: Gate = GATE, abstention: Abstention = SETS) -> Card:
    point = OperatingPoint(threshold=0.5)
    model = Model(format="onnx", file="m", backbone="none")
    return Card(
        name="x", labels=("normal", "ill"), model=model, operating_point=point, gate=gate, abstention=abstention
    )


def answers(chance: float, *doubt: float) -> Outputs:
    one = np.array([[chance]], dtype=np.float32)
    return Outputs(one, one, one.reshape(1, 1, 1, 1), np.array([doubt], dtype=np.float32))


@pytest.mark.parametrize(
    ("chance", "doubt", "verdict", "called", "warnings"),
    [
        (0.9, (1.0, 1.0), "ill", "ill", ()),
        (0.2, (2.0, 3.0), "normal", "normal", ()),  # at the limit is not above it
        (0.6, (1.0, 1.0), "uncertain", "ill", ("the evidence does not rule out normal or ill",)),
        (0.9, (2.5, 1.0), "uncertain", "ill", (GATE_WORDS["layout"],)),
        (0.9, (1.0, 9.0), "uncertain", "ill", (GATE_WORDS["features"],)),
        (0.6, (9.0, 9.0), "uncertain", "ill", (GATE_WORDS["layout"], GATE_WORDS["features"])),
    ],
)
def test_verdict_and_why(
    chance: float, doubt: tuple[float, ...], verdict: str, called: str, warnings: tuple[str, ...]
) -> None:
    found = reading(card(), "film", answers(chance, *doubt), 0, ())
    assert (found.verdict, found.called, found.warnings) == (verdict, called, warnings)
    assert found.to_json()["verdict"] == verdict


@pytest.mark.parametrize(
    ("doubt", "said"),
    [
        ((2.5, -6.0, 1.0), "unlike"),
        ((2.5, -2.5, 1.0), "layout"),  # not plainly upright
        ((4.5, -6.0, 1.0), "layout"),  # too far for any chest
        ((2.5, -2.5, 0.4), "unlike"),
        ((2.5, 1.5, 1.0), "layout"),
    ],
)
def test_a_chest_that_is_laid_out_otherwise_keeps_its_probability(doubt: tuple[float, ...], said: str) -> None:
    limits = {"layout": 2.0, "upside_down": 1.0, "features": 3.0}
    known = card(gate=Gate(checks=tuple(Check(name=name, limit=limits[name], alarms=0.01) for name in limits)))
    found = reading(known, "film", answers(0.9, *doubt), 0, ())
    assert found.verdict == "uncertain"
    assert found.doubts[0] == said
    assert (found.probability is None) == (said == "layout")


def test_a_doubt_that_refuses_and_one_that_does_not() -> None:
    sure = answers(0.9, 1.0, 1.0)
    assert reading(card(), "film", sure, 0, (Doubt("small", refuses=False),)).verdict == "ill"
    assert reading(card(), "film", sure, 0, (Doubt("blank"),)).verdict == "uncertain"


def test_neither_label_is_told_as_lying_between() -> None:
    narrow = card(abstention=Abstention(method="conformal", least=(0.8, 0.8)))
    assert reading(narrow, "film", answers(0.6, 1.0, 1.0), 0, ()).warnings == (
        "the evidence lies between normal and ill, where such films are often read wrongly",
    )


def test_a_card_without_either_always_answers() -> None:
    plain = card(Gate(), Abstention())
    assert not abstains(plain)
    none = answers(0.5)
    assert accepted(plain, none).tolist() == [True]
    assert failed_checks(plain, none).shape == (1, 0)
    assert abstains(card(GATE, Abstention()))
    assert abstains(card(Gate(), SETS))


def test_of_several_classes_the_leading_ones_are_named_best_first():
    model = Model(format="onnx", file="m", backbone="none")
    several = Card(name="x", task="multiclass", labels=("a", "b", "c", "d"), model=model)
    logits = np.array([[0.0, 3.0, 1.0, -1.0]], dtype=np.float32)
    chances = np.exp(logits) / np.exp(logits).sum()
    maps = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    found = reading(several, "film", Outputs(logits, chances, maps, np.zeros((1, 0), np.float32)), 0, ())
    assert [one["label"] for one in found.to_json()["leading"]] == ["b", "c", "a"]
    assert found.map[0, 0] == 1
