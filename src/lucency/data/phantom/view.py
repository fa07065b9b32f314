"""How a patient meets the film: placing, breath, field of view; and each pixel's place in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lucency.data.phantom.anatomy import Anatomy, Floats


@dataclass(frozen=True)
class View:
    """One exposure's geometry."""

    aspect: float
    """Width over height of the film."""
    above: float
    """What the film shows above the lung tops, in half chest widths."""
    below: float
    """What it shows below the right dome."""
    shift: float
    """How far the midline stands off the film's middle, in half chest widths."""
    tilt: float
    """Rotation in the plane of the film, radians."""
    turn: float
    """How far the heart and great vessels move sideways because the patient stands turned."""
    breath: float
    """How much higher the diaphragm stands than in a full breath."""


def draw_view(rng: np.random.Generator) -> View:
    """Draw one exposure of a patient who does not quite hold still."""
    return View(
        aspect=rng.uniform(1.0, 1.33),
        above=rng.uniform(0.15, 0.5),
        below=rng.uniform(0.2, 0.55),
        shift=rng.normal(0, 0.05),
        tilt=rng.normal(0, 0.035),
        turn=rng.normal(0, 0.03),
        breath=rng.uniform(0.0, 0.12),
    )


@dataclass(frozen=True)
class Grid:
    """Where each pixel lies in the patient."""

    x: Floats
    """float32 (h, w), half chest widths to the right of the midline."""
    y: Floats
    """float32 (h, w), half chest widths below the lung tops."""
    pixel: float
    """Size of a pixel in half chest widths."""
    tilt: float
    centre: tuple[float, float]
    """Patient's x and y in the middle of the film."""

    def to_pixels(self, points: Floats) -> Floats:
        """Columns and rows, float32 (n, 2), of places in the patient."""
        height, width = self.x.shape
        x, y = points[:, 0] - self.centre[0], points[:, 1] - self.centre[1]
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        columns = (cos * x - sin * y) / self.pixel + (width - 1) / 2
        rows = (sin * x + cos * y) / self.pixel + (height - 1) / 2
        return np.stack([columns, rows], axis=1).astype(np.float32)


def place(anatomy: Anatomy, view: View, side: int) -> Grid:
    """Lay the film over the patient.

    Args:
        anatomy: who.
        view: how.
        side: rows of the film; the columns follow from the view's aspect.
    """
    shown = view.above + anatomy.height + view.below
    pixel = shown / side
    columns = (np.arange(round(side * view.aspect), dtype=np.float32) - (round(side * view.aspect) - 1) / 2) * pixel
    rows = (np.arange(side, dtype=np.float32) - (side - 1) / 2)[:, None] * pixel
    centre = (view.shift, shown / 2 - view.above)
    cos, sin = np.float32(np.cos(view.tilt)), np.float32(np.sin(view.tilt))
    x = cos * columns + sin * rows + np.float32(centre[0])
    y = cos * rows - sin * columns + np.float32(centre[1])
    return Grid(x, y, pixel, view.tilt, centre)
