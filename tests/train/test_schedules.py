from __future__ import annotations

import pytest

from lucency.recipe import FitSettings
from lucency.train.schedules import SCHEDULES, factor


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_factors_stay_between_zero_and_one(schedule: str) -> None:
    curve = factor(FitSettings(epochs=7, schedule=schedule), 13)
    assert all(0 <= curve(step) <= 1 for step in range(7 * 13 + 2))


def test_exponential_is_the_lectures() -> None:
    # lr0 · 0.1^(epoch / 20): at epoch 0 all, at epoch 20 a tenth, the same through an epoch
    curve = factor(FitSettings(epochs=40, schedule="exponential", decay_epochs=20), 10)
    assert curve(0) == curve(9) == 1
    assert curve(200) == pytest.approx(0.1)
    assert curve(10) == pytest.approx(0.1 ** (1 / 20))


def test_cosine_begins_at_one_passes_half_in_the_middle_and_ends_at_zero() -> None:
    curve = factor(FitSettings(epochs=2, schedule="cosine"), 50)
    assert [curve(0), curve(50), curve(100)] == pytest.approx([1, 0.5, 0])


def test_one_cycle_climbs_to_one_and_falls_to_zero() -> None:
    curve = factor(FitSettings(epochs=10, schedule="one_cycle"), 10)
    assert [curve(0), curve(30), curve(100)] == pytest.approx([1 / 25, 1, 0])
    assert curve(10) < curve(20) < curve(30) > curve(60)
