from __future__ import annotations

import pytest
import torch
from torch import nn

from lucency.train.adversary import PROPERTIES, Adversary, Reversed, beyond_class, properties
from lucency.train.batches import Batch
from lucency.train.objective import Said

FILMS, FEATURES = 32, 8


def look(generator: torch.Generator, gray: torch.Tensor) -> torch.Tensor:
    """Films of even gray with a little noise, (n, 1, 32, 32)."""
    return gray[:, None, None, None] + torch.randn((len(gray), 1, 32, 32), generator=generator)


def test_properties_say_gray_level_spread_and_sharpness() -> None:
    flat = torch.full((1, 1, 32, 32), 90.0)
    ramp = torch.arange(32.0).expand(1, 1, 32, 32) * 4
    checker = 100 * ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float()[None, None]
    found = properties(torch.cat([flat, ramp, checker]))
    assert found.shape == (3, PROPERTIES)
    assert found[:, 0].tolist() == pytest.approx([90, 62, 50])
    assert found[0, 1:].tolist() == pytest.approx([0] * 5)
    assert found[1, 2] == pytest.approx(0)  # a ramp is not sharp
    assert found[2, 2] == pytest.approx(torch.log1p(torch.tensor(400.0)).item())  # a checker of 100 is: 4 · 100


def test_what_the_class_tells_is_taken_out() -> None:
    values = torch.tensor([[1.0, 5.0], [3.0, 5.0], [11.0, 9.0], [13.0, 9.0]])
    rest = beyond_class(values, torch.tensor([0, 0, 1, 1]))
    assert rest[:, 0].tolist() == pytest.approx([-1, 1, -1, 1])
    assert rest[:, 1].tolist() == [0.0] * 4  # the class tells all of it


def test_the_gradient_is_turned_around() -> None:
    features = torch.ones(2, 3, requires_grad=True)
    turned = Reversed.apply(features, 0.5)  # type: ignore[no-untyped-call]
    (turned * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert features.grad is not None
    assert features.grad[0].tolist() == [-0.5, -1.0, -2.0]


def test_features_are_led_away_from_what_the_probe_knows() -> None:
    """The probe learns the gray level from features that carry it; then the features take its gradient, and it errs."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    gray = torch.rand(FILMS, generator=generator) * 200
    labels, misled = torch.zeros(FILMS, dtype=torch.int64), torch.zeros(FILMS, dtype=torch.bool)
    batch = Batch(look(generator, gray), labels, misled)
    layer, adversary = nn.Linear(1, FEATURES), Adversary(FEATURES, 1.0)

    def error() -> torch.Tensor:
        return adversary(Said(batch, torch.empty(0), torch.empty(0), layer(gray[:, None] / 100 - 1)))

    def learn(part: nn.Module) -> float:
        optimizer = torch.optim.Adam(part.parameters(), 0.01)
        for _ in range(100):
            optimizer.zero_grad()
            error().backward()
            optimizer.step()
        return error().item()

    first, known = error().item(), learn(adversary)
    assert known < first - 0.1
    assert learn(layer) > known + 0.1
