"""How the learning rate goes over the epochs: factors on the first rate, one a step."""

from __future__ import annotations

import math
from collections.abc import Callable

from lucency.recipe import FitSettings, Schedule


def factor(settings: FitSettings, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on `settings.lr` at each step, counted from 0."""
    total = max(1, settings.epochs * steps_per_epoch)
    curve = SCHEDULES[settings.schedule]
    return lambda step: curve(step / steps_per_epoch, min(1.0, step / total), settings.decay_epochs)


def _constant(epoch: float, share: float, decay_epochs: float) -> float:
    return 1.0


def _exponential(epoch: float, share: float, decay_epochs: float) -> float:
    """lr0 · 0.1^(epoch / s), constant within an epoch, as Keras' LearningRateScheduler gives it."""
    return float(0.1 ** (math.floor(epoch) / decay_epochs))


def _cosine(epoch: float, share: float, decay_epochs: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017), without restarts."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle(epoch: float, share: float, decay_epochs: float) -> float:
    """Up from 1/25 over the first three tenths, then down to zero, both along half a cosine (Smith & Topin 2018)."""
    low, rise = 1 / 25, 0.3
    if share < rise:
        return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * share / rise))
    return 0.5 * (1 + math.cos(math.pi * (share - rise) / (1 - rise)))


SCHEDULES: dict[Schedule, Callable[[float, float, float], float]] = {
    "constant": _constant,
    "exponential": _exponential,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
