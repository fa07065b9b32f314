"""A drawn patient and how the film meets it: the proportions of one chest, the view, and each pixel's place.

x grows to the right of the film (the patient's left), from the midline; y grows downwards, from the lung tops.
Lengths are in units of half the chest's greatest inner width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Anatomy:
    """One patient's chest. Lengths in half chest widths, opacities in units where the whole chest is about 1."""

    height: float
    """From the lung tops to the right dome of the diaphragm."""
    taper: float
    """How bluntly the rib cage closes at the top; larger is blunter."""
    blunt: float
    """How round its corners are at the top; smaller is rounder."""
    wall: float
    """Thickness of the soft tissue at the side of the rib cage: a thin or a stout patient."""
    shoulder: float
    """Half width of the shoulders."""
    neck: float
    """Half width of the neck."""
    mediastinum: float
    """Half width of the great vessels above the heart; wide where a child's thymus shows."""
    heart_x: float
    """Where the centre of the heart lies, to the patient's left."""
    heart_width: float
    """Half width of the heart."""
    heart_height: float
    """Half height of the heart."""
    knob: float
    """How far the aortic arch bulges to the patient's left."""
    dome_left: float
    """How much lower than the right the left dome of the diaphragm stands."""
    dome_round: float
    """How much the domes curve."""
    rib_pitch: float
    """Distance between two ribs."""
    rib_start: float
    """Where the first rib leaves the spine."""
    rib_drop: float
    """How far a rib sinks from the spine to the side."""
    rib_return: float
    """How far it sinks further on its way to the front."""
    rib_width: float
    """Share of the pitch that the rib fills."""
    bone: float
    """Opacity of bone: a child's is low."""
    spine: float
    """Half width of the vertebral bodies."""
    bend: float
    """Sideways bend of the spine."""
    clavicle_y: float
    """Height of the inner ends of the collar bones."""
    clavicle_rise: float
    """How far they rise outwards."""
    air: float
    """Opacity that aerated lung takes away."""
    gas: float
    """Size of the gas bubble in the stomach; 0 for none."""
    vessels: Floats
    """float32 (n, 5): x0, y0, x1, y1, width of each piece of the lungs' vessels."""


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a patient, a small child to a lean adult."""
    height = rng.uniform(1.35, 1.8)
    return Anatomy(
        height=height,
        taper=rng.uniform(1.8, 2.5),
        blunt=rng.uniform(0.36, 0.52),
        wall=rng.uniform(0.06, 0.18),
        shoulder=rng.uniform(1.25, 1.6),
        neck=rng.uniform(0.38, 0.5),
        mediastinum=rng.uniform(0.17, 0.28),
        heart_x=rng.uniform(0.1, 0.18),
        heart_width=rng.uniform(0.38, 0.52),
        heart_height=rng.uniform(0.4, 0.55),
        knob=rng.uniform(0.0, 0.07),
        dome_left=rng.uniform(0.0, 0.14),
        dome_round=rng.uniform(0.3, 0.55),
        rib_pitch=height / rng.uniform(7.5, 9.5),
        rib_start=rng.uniform(-0.12, 0.02),
        rib_drop=rng.uniform(0.12, 0.34),
        rib_return=rng.uniform(0.22, 0.42),
        rib_width=rng.uniform(0.34, 0.46),
        bone=rng.uniform(0.15, 0.26),
        spine=rng.uniform(0.1, 0.14),
        bend=rng.uniform(-0.05, 0.05),
        clavicle_y=rng.uniform(0.1, 0.28),
        clavicle_rise=rng.uniform(0.05, 0.3),
        air=rng.uniform(0.42, 0.52),
        gas=rng.uniform(0.1, 0.2) if rng.uniform() < 0.4 else 0.0,
        vessels=np.concatenate([_vessels(rng, side, height) for side in (-1.0, 1.0)]),
    )


def _vessels(rng: np.random.Generator, side: float, height: float) -> Floats:
    """The arteries of one lung: trunks that leave the hilum and fork, thinner at each fork."""
    pieces: list[tuple[float, float, float, float, float]] = []
    hilum = (side * rng.uniform(0.22, 0.28), height * rng.uniform(0.47, 0.55))
    ends = [(*hilum, angle + rng.normal(0, 0.15), 0.05, 0.2) for angle in np.linspace(-1.3, 1.35, 7)]
    while ends:
        x, y, angle, width, length = ends.pop()
        tip_x = x + side * length * float(np.cos(angle))
        tip_y = y + length * float(np.sin(angle))
        pieces.append((x, y, tip_x, tip_y, width))
        if width > 0.012:
            turn = rng.uniform(0.1, 0.45, 2)
            stretch = rng.uniform(0.75, 1.0, 2)
            ends.append((tip_x, tip_y, angle + turn[0], width * 0.65, length * stretch[0]))
            ends.append((tip_x, tip_y, angle - turn[1], width * 0.65, length * stretch[1]))
    return np.array(pieces, dtype=np.float32)


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
