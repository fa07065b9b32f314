"""The worst errors, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lucency.evaluate.predictions import Predictions
from lucency.report.worst_errors import _call, probability_of_truth, worst

from .samples import predictions


def test_the_most_confident_errors_come_first() -> None:
    found = worst(predictions(), 0.5, each=4)
    # Ill films are 2, 3, 6, 7, 10, 11 …; the first six are missed with logits -7 to -2.
    assert found == {"missed": (2, 3, 6, 7), "false alarms": ()}
    assert worst(predictions(), 0.999, each=2)["missed"] == (2, 3)
    assert len(worst(predictions(), 0.001, each=100)["false alarms"]) == 60


def test_answered_errors_come_before_referred_ones() -> None:
    films = predictions()
    answered = np.ones(len(films), dtype=bool)
    answered[[2, 3]] = False
    assert worst(replace(films, answered=answered), 0.5, each=6)["missed"] == (6, 7, 10, 11, 2, 3)


def of(task: str, labels: list[object], probabilities: list[list[float]]) -> Predictions:
    p = np.array(probabilities)
    n = len(p)
    names = ("a", "b", "c")[: p.shape[1]]
    return Predictions(
        tuple(f"f{i}" for i in range(n)),
        (None,) * n,
        np.array(labels),
        np.log(p),
        p,
        names,
        task,  # type: ignore[arg-type]
    )


def test_several_classes() -> None:
    films = of("multiclass", [0, 1, 2], [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.9, 0.09, 0.01]])
    assert probability_of_truth(films).tolist() == pytest.approx([0.7, 0.4, 0.01])
    assert worst(films, 0.5) == {"called wrongly": (2, 1)}


def test_several_findings() -> None:
    films = of("multilabel", [[1, 0], [1, 1]], [[0.9, 0.2], [0.8, 0.1]])
    assert probability_of_truth(films).tolist() == pytest.approx([0.8, 0.1])
    assert worst(films, 0.5) == {"called wrongly": (1,)}
    assert _call(films, (0.5, 0.3), 1) == ("a|b", "a", "b 0.100, called from 0.3")
