"""The learning-rate schedules of a recipe."""

from __future__ import annotations

import pytest
import torch

from lucency.recipe import FitSettings
from lucency.train.module import schedule


def rates(settings: FitSettings, steps: int) -> list[float]:
    """The learning rate of each step, as Lightning steps it, and of the one after the last."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], settings.lr)
    found = schedule(optimizer, settings, steps)
    rates = []
    for step in range(settings.epochs * steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if found["interval"] == "step" or (step + 1) % steps == 0:
            found["scheduler"].step()
    return [*rates, optimizer.param_groups[0]["lr"]]


@pytest.mark.parametrize("name", ["constant", "exponential", "cosine", "one_cycle"])
def test_rates_stay_between_0_and_the_recipes_lr(name: str) -> None:
    assert all(0 <= rate <= 0.01 * (1 + 1e-9) for rate in rates(FitSettings(epochs=7, lr=0.01, schedule=name), 13))


def test_constant_schedule() -> None:
    assert set(rates(FitSettings(epochs=3, lr=0.5), 4)) == {0.5}


def test_exponential_schedule_equals_keras() -> None:
    # lr0 · 0.1^(epoch / 20), constant within an epoch
    found = rates(FitSettings(epochs=40, lr=1, schedule="exponential", decay_epochs=20), 10)
    assert found[0] == found[9] == 1
    assert found[200] == pytest.approx(0.1)
    assert found[10] == pytest.approx(0.1 ** (1 / 20))


def test_cosine_schedule_by_hand() -> None:
    found = rates(FitSettings(epochs=2, lr=1, schedule="cosine"), 50)
    assert [found[0], found[50], found[100]] == pytest.approx([1, 0.5, 0])


def test_one_cycle_schedule_by_hand() -> None:
    found = rates(FitSettings(epochs=10, lr=1, schedule="one_cycle"), 10)
    assert [found[0], found[29], found[99]] == pytest.approx([1 / 25, 1, 0], abs=1e-5)
    assert found[10] < found[20] < found[29] > found[60]
