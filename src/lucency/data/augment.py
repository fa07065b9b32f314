"""Draw, then apply: a frozen record says how one film is seen this time; applying it twice gives the same film.

Never a left-right flip: it would move the heart. The aspect ratio can be drawn because it gives the label away in the
ChestXRay2017 films (pneumonia films are wider), and sharpness because normals are sharper: neither is disease.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.data.clahe import LIMITS, clahe
from lucency.preprocess import ResizeMode
from lucency.recipe import AugmentSettings

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The frame that is the film."""
MIDDLE = 127.5
"""The gray around which contrast turns."""
CORNERS = ((0.0, 0.0), (0.75, 0.0), (0.0, 0.8), (0.75, 0.8), (0.0, 0.3))
"""Where letters stand, as shares of width and height: the four corners and the middle of the left edge."""
PATCH = (0.25, 0.2)
"""How large an erased patch is at most, as shares of width and height."""


EDGE = 1.2
"""How wide an edge is that gets sharpened, pixels of the film."""


@dataclass(frozen=True)
class Jitter:
    """How one film is seen this time. The default changes nothing."""

    aspect: float = 1.0
    """Factor on width over height."""
    zoom: float = 1.0
    """Share of the film that is kept along its longer kept side."""
    across: float = 0.5
    """Where the kept part lies in the room left over, 0 = left, 1 = right."""
    down: float = 0.5
    """The same from top to bottom."""
    turn: float = 0.0
    """Degrees, counter-clockwise."""
    levels: bytes = b""
    """The gray that each of the 256 grays becomes before anything else; empty changes none."""
    sharpness: float = 0.0
    """Below 0: standard deviation of a blur, pixels of the film; above 0: share by which edges are raised."""
    gamma: float = 1.0
    contrast: float = 1.0
    brightness: float = 0.0
    resample: float = 1.0
    """Share of the square's pixels that survive along each side."""
    noise: float = 0.0
    """Standard deviation, gray levels."""
    noise_seed: int = 0
    clahe: float = 0.0
    """Limit to which contrast is evened out part by part, after `levels`; 0 leaves it."""
    erase: tuple[tuple[float, float, float, float, int], ...] = ()
    """Patches: left, top, width, height as shares of the square, and the gray they are painted."""


def draw(settings: AugmentSettings, rng: np.random.Generator) -> Jitter:
    """Draw how one film is seen."""
    return Jitter(
        aspect=_log_uniform(rng, settings.aspect),
        zoom=float(rng.uniform(*settings.zoom)),
        across=float(rng.uniform()),
        down=float(rng.uniform()),
        turn=float(rng.uniform(-settings.rotate, settings.rotate)),
        sharpness=float(rng.uniform(*settings.sharpness)),
        gamma=_log_uniform(rng, settings.gamma),
        contrast=_log_uniform(rng, settings.contrast),
        brightness=float(rng.uniform(-settings.brightness, settings.brightness)),
        resample=float(rng.uniform(*settings.resample)),
        noise=float(rng.uniform(0, settings.noise)),
        noise_seed=int(rng.integers(2**31)),
        erase=_draw_patches(settings.erase, rng),
        clahe=_draw_limit(settings.clahe, rng),
    )


def apply(jitter: Jitter, gray: Pixels, side: int, fit: ResizeMode, frame: Box = WHOLE) -> Pixels:
    """See a film through a jitter.

    Args:
        jitter: what was drawn; `Jitter()` gives the bytes of `Preprocess(side, fit)`.
        gray: uint8 (h, w).
        side: pixels along the square.
        fit: how the film meets the square.
        frame: left, top, right, bottom of the part that is shown, as shares of the film; another than the whole is
            stretched to the square.

    Returns:
        uint8 (side, side).
    """
    image = Image.fromarray(gray)
    if jitter.levels:
        image = image.point(list(jitter.levels))
    if jitter.clahe:
        image = Image.fromarray(clahe(np.asarray(image), jitter.clahe))
    if jitter.sharpness:
        image = image.filter(_edges(jitter.sharpness))
    if jitter.turn:
        image = image.rotate(jitter.turn, Image.Resampling.BILINEAR)
    box = kept_box(jitter, gray.shape[1], gray.shape[0], fit, frame)
    through = min(side, max(8, round(side * jitter.resample)))
    square = np.asarray(_resized(image, box, through, side))
    return _toned(jitter, _erased(jitter, square))


def kept_box(jitter: Jitter, width: int, height: int, fit: ResizeMode, frame: Box = WHOLE) -> Box:
    """left, top, right, bottom of the part of a film that fills the square; beyond the film where fit is `pad`."""
    left, top, full_w, full_h = _full(width, height, fit) if frame == WHOLE else _within(width, height, frame)
    # A box that is narrower by the factor, stretched to the square, is a film that is wider by the factor.
    kept_w = full_w * jitter.zoom * min(1.0, 1.0 / jitter.aspect)
    kept_h = full_h * jitter.zoom * min(1.0, jitter.aspect)
    left, top = left + (full_w - kept_w) * jitter.across, top + (full_h - kept_h) * jitter.down
    if frame != WHOLE:  # a zoom beyond 1 shows more than the frame, but no more than the film
        left, top = max(0.0, left), max(0.0, top)
        return left, top, min(width, left + kept_w), min(height, top + kept_h)
    return left, top, left + kept_w, top + kept_h


def _full(width: int, height: int, fit: ResizeMode) -> Box:
    """left, top, width and height of what `fit` shows of a film."""
    long, short = max(width, height), min(width, height)
    full_w, full_h = {"stretch": (width, height), "crop": (short, short), "pad": (long, long)}[fit]
    return _rest(width, full_w), _rest(height, full_h), full_w, full_h


def _within(width: int, height: int, frame: Box) -> Box:
    """left, top, width and height of a frame in pixels."""
    left, top, right, bottom = frame
    return left * width, top * height, (right - left) * width, (bottom - top) * height


def _rest(have: int, want: int) -> int:
    """Where a centred span of `want` starts in `have`: the half is floored towards the start, as Preprocess does."""
    return (have - want) // 2 if have >= want else -((want - have) // 2)


def _resized(image: Image.Image, box: Box, through: int, side: int) -> Image.Image:
    left, top, right, bottom = box
    margin = max(0, int(np.ceil(max(-left, -top, right - image.width, bottom - image.height) - 1e-9)))
    if margin:  # Pillow refuses boxes beyond the film: lay it on black first
        canvas = Image.new("L", (image.width + 2 * margin, image.height + 2 * margin), 0)
        canvas.paste(image, (margin, margin))
        image, box = canvas, (left + margin, top + margin, right + margin, bottom + margin)
    if all(edge == round(edge) for edge in box):  # a box lets the filter look beyond its edge, a crop does not
        x0, y0, x1, y1 = map(int, box)
        image, box = image.crop((x0, y0, x1, y1)), (0.0, 0.0, float(x1 - x0), float(y1 - y0))
    # Rows first, then columns, as Preprocess does: left to itself Pillow chooses the order by the shape.
    narrow = image.resize((through, image.height), Image.Resampling.BILINEAR, box=(box[0], 0, box[2], image.height))
    seen = narrow.resize((through, through), Image.Resampling.BILINEAR, box=(0, box[1], through, box[3]))
    return seen if through == side else seen.resize((side, side), Image.Resampling.BILINEAR)


def _edges(sharpness: float) -> ImageFilter.MultibandFilter:
    if sharpness < 0:
        return ImageFilter.GaussianBlur(-sharpness)
    return ImageFilter.UnsharpMask(EDGE, round(100 * sharpness), threshold=0)


def _erased(jitter: Jitter, square: Pixels) -> Pixels:
    if not jitter.erase:
        return square
    painted = square.copy()
    side = len(square)
    for left, top, width, height, gray in jitter.erase:
        painted[int(top * side) : int((top + height) * side), int(left * side) : int((left + width) * side)] = gray
    return painted


def _toned(jitter: Jitter, square: Pixels) -> Pixels:
    levels = np.arange(256) / 255.0
    curve = (255.0 * levels**jitter.gamma - MIDDLE) * jitter.contrast + MIDDLE + jitter.brightness
    toned = np.rint(curve).clip(0, 255).astype(np.uint8)[square]
    if not jitter.noise:
        return toned
    grain = np.random.default_rng(jitter.noise_seed).standard_normal(square.shape, dtype=np.float32)
    return np.rint(toned + jitter.noise * grain).clip(0, 255).astype(np.uint8)


def _draw_patches(chance: float, rng: np.random.Generator) -> tuple[tuple[float, float, float, float, int], ...]:
    hit = rng.uniform(size=len(CORNERS)) < chance
    shares = rng.uniform(0.4, 1.0, size=(len(CORNERS), 2)) * PATCH
    grays = rng.integers(0, 256, size=len(CORNERS))
    return tuple(
        (left, top, float(width), float(height), int(gray))
        for (left, top), (width, height), gray, use in zip(CORNERS, shares, grays, hit, strict=True)
        if use
    )


def _draw_limit(chance: float, rng: np.random.Generator) -> float:
    if not chance:  # nothing is drawn: recipes of before this setting see what they saw
        return 0.0
    hit, limit = rng.uniform(), rng.uniform(*LIMITS)
    return float(limit) if hit < chance else 0.0


def _log_uniform(rng: np.random.Generator, span: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(span[0]), np.log(span[1]))))
