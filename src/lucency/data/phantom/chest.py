"""Opacity of a chest, structure by structure, and the air that pneumonia takes away at each pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lucency.data.phantom.anatomy import Anatomy, Floats, Grid, View

TABLE = 1024
"""Entries of a table over y; finer than a pixel for films up to some 1,000 rows."""


@dataclass(frozen=True)
class Chest:
    """The opacity maps of one view, each float32 (h, w)."""

    tissue: Floats
    """Everything but the lungs' air."""
    air: Floats
    """Opacity that the air in the lungs takes away again."""
    lungs: NDArray[np.bool_]
    """Where lung shows: inside the rib cage, beside heart and vessels, above the diaphragm."""
    cage: Floats
    """Half width of the rib cage at each pixel's height."""
    dome: Floats
    """y of the diaphragm at each pixel's x."""
    vessels: Floats
    """Shadow of the lungs' vessels, 0 to 1; the airways run beside them."""


def step(distance: Floats, soft: float) -> Floats:
    """A smooth step from 0 to 1 as `distance` passes zero, `soft` wide: 3 t^2 - 2 t^3."""
    t = np.clip(distance * np.float32(1 / soft) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def render(anatomy: Anatomy, view: View, grid: Grid) -> Chest:
    """Opacity of every structure of one patient in one view."""
    across = np.abs(grid.x)
    cage = _over_y(grid.y, lambda y: cage_half_width(anatomy, y))
    dome = _dome(anatomy, view, grid.x)
    middle = _mediastinum(anatomy, view, grid)
    aerated = step(cage - across, 0.05) * step(dome - grid.y, 0.04) * (1 - middle)
    depth = np.sqrt(np.sqrt(np.clip(1 - (across / cage) ** 2, 0, 1)))
    bones = anatomy.bone * (
        _ribs(anatomy, grid, across, cage) + _spine(anatomy, grid) + _clavicles(anatomy, grid, across)
    )
    behind = 0.25 * step(cage - across, 0.1) * step(dome + 0.35 - grid.y, 0.6) * depth
    vessels = _vessels(anatomy, grid)
    # Blood takes the place of air, so that a lung without air hides its vessels
    air = anatomy.air * (aerated * depth * (1 - 0.3 * vessels) + 0.25 * behind * (1 - aerated))
    body = _body(anatomy, grid, across)
    below = step(grid.y - dome, 0.05)
    tissue = body * (0.8 + 0.1 * middle + 0.08 * below) - _windpipe(anatomy, view, grid) + bones
    tissue -= _stomach(anatomy, grid, below)
    return Chest(np.maximum(tissue, 0).astype(np.float32), air.astype(np.float32), aerated > 0.5, cage, dome, vessels)


def cage_half_width(anatomy: Anatomy, y: Floats) -> Floats:
    """Inner half width of the rib cage at height y: a blunt dome, widest three quarters down."""
    widest = 0.8 * anatomy.height
    rise = np.clip((widest - y) / (widest + 0.06), 0, 1) ** anatomy.taper
    return np.asarray(
        np.maximum((1 - rise) ** anatomy.blunt, 0.02) * (1 - 0.08 * np.clip(y - widest, 0, 2)), dtype=np.float32
    )


def _over_y(y: Floats, curve: Callable[[Floats], Floats]) -> Floats:
    """A curve of y alone, by table: the film may be tilted, so no row has one y."""
    low, high = float(y.min()), float(y.max())
    entries = np.linspace(low, high, TABLE, dtype=np.float32)
    index = ((y - low) * np.float32((TABLE - 1) / (high - low))).astype(np.int32)
    return curve(entries)[index]


def _dome(anatomy: Anatomy, view: View, x: Floats) -> Floats:
    top = anatomy.height - view.breath + np.where(x > 0, np.float32(anatomy.dome_left), np.float32(0))
    off = np.abs(x) - np.float32(0.42)
    return np.asarray(
        top + np.float32(anatomy.dome_round) * off * off * (1 + 2.5 * np.maximum(off, 0)), dtype=np.float32
    )


def _mediastinum(anatomy: Anatomy, view: View, grid: Grid) -> Floats:
    """Heart and great vessels: how opaque, 0 to 1."""
    x = grid.x - np.float32(view.turn) - _bend(anatomy, grid)
    centre_y = anatomy.height - view.breath - 0.72 * anatomy.heart_height
    left = (x - anatomy.heart_x) / anatomy.heart_width
    down = (grid.y - centre_y) / anatomy.heart_height
    lean = left - 0.35 * down
    heart = step(1 - np.sqrt(lean * lean + down * down), 0.12)
    widening = 0.12 * np.abs(grid.y - 0.25 * anatomy.height)
    vessels = step(anatomy.mediastinum + widening - np.abs(x - 0.02), 0.07)
    arch = step(0.16 - np.hypot(x - anatomy.mediastinum - anatomy.knob + 0.13, grid.y - 0.32 * anatomy.height), 0.06)
    return np.asarray(np.maximum(np.maximum(heart, vessels), arch), dtype=np.float32)


def _body(anatomy: Anatomy, grid: Grid, across: Floats) -> Floats:
    """Soft tissue of trunk, shoulders and neck: 1 through its middle, 0 in the open."""

    def outline(y: Floats) -> Floats:
        trunk = 1 + anatomy.wall + 0.06 * y
        shoulders = trunk + (anatomy.shoulder - trunk) * np.clip(1.15 - y / (0.55 * anatomy.height), 0, 1)
        neck_line = np.clip((y + 0.42) / 0.4, 0, 1) ** 0.6
        return np.asarray(anatomy.neck + (shoulders - anatomy.neck) * neck_line, dtype=np.float32)

    edge = _over_y(grid.y, outline)
    chord = np.clip(1 - (across / edge) ** 2, 0, 1)
    return np.asarray(np.sqrt(chord) * (1 - 0.12 * step(0.1 - grid.y, 0.6)), dtype=np.float32)


def _ribs(anatomy: Anatomy, grid: Grid, across: Floats, cage: Floats) -> Floats:
    """Ribs as tilted rings: the back half from the spine to the side, the front half on to the breastbone."""
    r = np.minimum(across / cage, 1)
    g = np.sqrt(1 - r * r)
    back = anatomy.rib_start + anatomy.rib_drop * (1 - g)
    front = anatomy.rib_start + anatomy.rib_drop + anatomy.rib_return * g
    edge_on = np.minimum(0.6 / (g + 0.25), 1.1)
    inside = step(cage * 1.04 - across, 0.03)
    behind = _bands(grid.y - back, anatomy, 1.0) * inside * edge_on
    before = _bands(grid.y - front, anatomy, 1.2) * inside * edge_on * step(r - 0.55, 0.35)
    return np.asarray(behind + 0.7 * before, dtype=np.float32)


def _bands(down: Floats, anatomy: Anatomy, broad: float) -> Floats:
    """Opacity of the rib that passes at `down`: a tube with a dense rim."""
    pitch = np.float32(anatomy.rib_pitch)
    order = np.floor(down / pitch)
    off = (down / pitch - order - 0.5) * np.float32(2 / (broad * anatomy.rib_width))
    tube = np.sqrt(np.clip(1 - off * off, 0, 1))
    marrow = np.sqrt(np.clip(1 - 1.7 * off * off, 0, 1))
    return np.asarray((1.2 * tube - 0.6 * marrow) * ((order >= 0) & (order < 12)), dtype=np.float32)


def _bend(anatomy: Anatomy, grid: Grid) -> Floats:
    """How far the spine, and what is tied to it, lies off the midline."""
    return np.asarray(anatomy.bend * np.sin(2 * grid.y), dtype=np.float32)


def _spine(anatomy: Anatomy, grid: Grid) -> Floats:
    x = grid.x - _bend(anatomy, grid)
    half = anatomy.spine * (1 + 0.12 * grid.y)
    discs = 0.5 + 0.5 * np.cos(grid.y * np.float32(2 * np.pi / (0.82 * anatomy.rib_pitch)))
    return np.asarray(step(half - np.abs(x), 0.05) * (0.65 - 0.25 * discs * discs * discs), dtype=np.float32)


def _clavicles(anatomy: Anatomy, grid: Grid, across: Floats) -> Floats:
    course = anatomy.clavicle_y - anatomy.clavicle_rise * (across - 0.15) + 0.05 * np.sin(5.5 * across)
    half = 0.055 + 0.02 * np.cos(4 * across)
    tube = np.sqrt(np.clip(1 - ((grid.y - course) / half) ** 2, 0, 1))
    return np.asarray(0.7 * tube * step(across - 0.14, 0.05) * step(1.15 - across, 0.08), dtype=np.float32)


def _windpipe(anatomy: Anatomy, view: View, grid: Grid) -> Floats:
    x = grid.x - np.float32(view.turn * 0.7 - 0.01) - _bend(anatomy, grid)
    return 0.1 * step(0.06 - np.abs(x), 0.05) * step(0.4 * anatomy.height - grid.y, 0.1)


def _stomach(anatomy: Anatomy, grid: Grid, below: Floats) -> Floats | float:
    if not anatomy.gas:
        return 0.0
    off: Floats = np.hypot((grid.x - 0.5) / 1.4, grid.y - anatomy.height - anatomy.dome_left - 0.2)
    return 0.25 * below * step(anatomy.gas - off, 0.06)


def _vessels(anatomy: Anatomy, grid: Grid) -> Floats:
    """The vessels' shadow, drawn twice as large and reduced so that thin ones stay thin."""
    height, width = grid.x.shape
    sheet = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(sheet)
    starts = 2 * grid.to_pixels(anatomy.vessels[:, 0:2])
    ends = 2 * grid.to_pixels(anatomy.vessels[:, 2:4])
    widths = np.maximum(2 * anatomy.vessels[:, 4] / grid.pixel, 1)
    for (x0, y0), (x1, y1), thick in zip(starts.tolist(), ends.tolist(), widths.tolist(), strict=True):
        pen.line((x0, y0, x1, y1), fill=round(min(255, 70 + 18 * thick)), width=round(thick))
    return np.asarray(sheet.reduce(2), dtype=np.float32) / np.float32(255)


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
