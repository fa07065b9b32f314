"""The figure that a finished training leads with; the other lines are in tests/cli/test_train.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluate.samples import several
from lucency.train.summary import figure


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_several_classes_have_an_interval(task: str) -> None:
    """8 of 10 right is 0.490 to 0.943 (Wilson 1927); films of no known patient count each for itself."""
    drawn = several("multiclass", 10, 3) if task == "multiclass" else several("multilabel", 10, 1)
    called = drawn.called(0.5).reshape(10, -1)
    labels = np.where(np.arange(10)[:, None] < 8, called, (called + 1) % 2).reshape(drawn.labels.shape)
    found = figure(replace(drawn, labels=labels, patients=(None,) * 10))
    assert found == "share of right calls 0.800 (0.490 to 0.943)"
