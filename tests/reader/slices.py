"""Drawn slices: a head by MRI, and a chest by CT in a lung window."""

from __future__ import annotations

import numpy as np


def head(rng: np.random.Generator, width: int = 96, height: int = 96) -> np.ndarray:
    """A bright rim and folds of brain on black, uint8 (height, width)."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
    folds = rng.integers(10, 180, (height // 4 + 1, width // 4 + 1)).repeat(4, axis=0).repeat(4, axis=1)
    brain = np.where(away < 0.34, folds[:height, :width], 220)
    return np.where(away < 0.4, brain, rng.integers(0, 6, (height, width))).astype(np.uint8)


def lungs(rng: np.random.Generator, width: int = 96, height: int = 96) -> np.ndarray:
    """Air in two ellipses of a body that fills the picture, uint8 (height, width)."""
    y, x = np.mgrid[:height, :width]
    down, apart = rng.uniform(0.25, 0.4), rng.uniform(0.21, 0.27)
    sides = [((y / height - 0.5) / down) ** 2 + ((x / width - at) / 0.16) ** 2 for at in (0.5 - apart, 0.5 + apart)]
    noise = rng.integers(-8, 8, (height, width))
    return (np.where(np.minimum(*sides) < 1, 70, 225) + noise).astype(np.uint8)
