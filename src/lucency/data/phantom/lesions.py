"""What pneumonia does to a lung: five appearances, each an amount of air lost at each pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lucency.data.phantom.anatomy import Anatomy, Floats
from lucency.data.phantom.chest import Chest, cage_half_width, step
from lucency.data.phantom.view import Grid

SEEN = 0.25
"""Share of a pixel's full lung air that must be lost for the pixel to belong to the lesion."""


@dataclass(frozen=True)
class Lesion:
    """One patient's pneumonia."""

    kind: str
    """A row of KINDS."""
    cause: str
    """bacteria or virus."""
    side: int
    """-1 for the patient's right lung (left on the film), 1 for the left."""
    strength: float
    """Share of the air lost in its middle."""
    spots: Floats
    """float32 (n, 3): x as a share of the cage's half width, y as a share of the lung's height, radius."""
    slope: float
    """Slope of the fissure that bounds a lobar lesion."""
    texture: int
    """Seed of the network that an interstitial lesion draws."""


def draw_lesion(rng: np.random.Generator) -> Lesion:
    """Draw a pneumonia."""
    kind = str(rng.choice(list(KINDS)))
    several = kind == "patchy"
    count = int(rng.integers(3, 7)) if several else 1
    radius = (0.15, 0.26) if several else (0.22, 0.34)
    spots = np.stack(
        [rng.uniform(0.4, 0.75, count), rng.uniform(0.25, 0.85, count), rng.uniform(*radius, count)], axis=1
    )
    return Lesion(
        kind=kind,
        cause="bacteria" if rng.uniform() < BACTERIAL[kind] else "virus",
        side=int(rng.choice([-1, 1])),
        strength=rng.uniform(0.55, 0.95),
        spots=spots.astype(np.float32),
        slope=rng.normal(0, 0.12),
        texture=int(rng.integers(2**31)),
    )


def air_lost(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """Share of the air lost at each pixel, float32 (h, w) in 0..1."""
    lost = KINDS[lesion.kind](lesion, anatomy, chest, grid) * np.float32(lesion.strength)
    return np.asarray(np.clip(lost, 0, 1), dtype=np.float32)


def _lobar(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """A lobe's wedge: a sharp edge along the fissure, dense next to it, fading away from it; its airways stay open."""
    _, height, radius = lesion.spots[0].tolist()
    upper = 1 if height < 0.6 else -1
    fissure = 0.52 * anatomy.height + lesion.slope * (grid.x * lesion.side - 0.4)
    above = (fissure - grid.y) * upper
    wedge = step(above, 0.03) * step(2.0 * radius - above, 0.9 * radius) * step(grid.x * lesion.side, 0.1)
    return wedge * (1 - 0.35 * chest.vessels)


def _round(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """One ball."""
    return _spot(lesion.spots[0], lesion.side, anatomy, grid, soft=0.4)


def _patchy(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """Bronchopneumonia: uneven soft patches, most of them in one lung."""
    patches = [
        _spot(spot, lesion.side if number % 3 < 2 else -lesion.side, anatomy, grid, soft=1.3)
        for number, spot in enumerate(lesion.spots)
    ]
    together = 1 - np.prod([1 - patch for patch in patches], axis=0, dtype=np.float32)
    return np.asarray(together * np.clip(0.95 + 0.3 * _mottle(lesion.texture, grid, 0.11), 0.6, 1.2), dtype=np.float32)


def _interstitial(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """A net of thickened septa in a faint haze, widest around one hilum."""
    net = np.clip(1 - 1.1 * np.abs(_mottle(lesion.texture, grid, 0.045)), 0, 1)
    spot = lesion.spots[0] * np.array([0.9, 1, 1.7], dtype=np.float32)
    other = spot * np.array([1, 1, 0.7], dtype=np.float32)
    extent = _spot(spot, lesion.side, anatomy, grid, 0.9) + 0.6 * _spot(other, -lesion.side, anatomy, grid, 0.9)
    return np.asarray(extent * (0.55 + 0.4 * net), dtype=np.float32)


def _basal(lesion: Lesion, anatomy: Anatomy, chest: Chest, grid: Grid) -> Floats:
    """The lower lobe: denser towards the diaphragm, whose outline it hides."""
    radius = float(lesion.spots[0, 2])
    lobe = step(grid.y - chest.dome + 1.7 * radius, 1.4 * radius) * step(grid.x * lesion.side, 0.1)
    return lobe * (1 - 0.3 * chest.vessels)


def _spot(spot: Floats, side: int, anatomy: Anatomy, grid: Grid, soft: float) -> Floats:
    """A disc at a place given relative to the lung; `soft` is the share of its radius over which it fades."""
    x, y, radius = spot.tolist()
    across = float(cage_half_width(anatomy, np.array([y * anatomy.height], dtype=np.float32))[0])
    off = np.hypot(grid.x - side * x * across, (grid.y - y * anatomy.height) * np.float32(0.9))
    return step(radius - off, soft * radius)


def _mottle(seed: int, grid: Grid, cell: float) -> Floats:
    """Smooth noise of mean 0 and standard deviation about 1 whose bumps are `cell` wide."""
    height, width = grid.x.shape
    rows, columns = round(height * grid.pixel / cell) + 1, round(width * grid.pixel / cell) + 1
    coarse = np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float32) * np.float32(1.3)


KINDS: dict[str, Callable[[Lesion, Anatomy, Chest, Grid], Floats]] = {
    "lobar": _lobar,
    "round": _round,
    "patchy": _patchy,
    "interstitial": _interstitial,
    "basal": _basal,
}
"""Appearance to how it is drawn."""

BACTERIAL = {"lobar": 0.95, "round": 0.9, "patchy": 0.4, "interstitial": 0.05, "basal": 0.8}
"""How often bacteria cause each appearance; viruses cause the rest."""
