"""How a film was taken and stored, in numbers; and a film as if it had been taken and stored like another one.

Measured on the film stretched to SIDE pixels as in `lucency audit`; of a picture in colour on its luma. Each part of
the counterfactual is one function `(square, own, donor, rng) -> square` of uint8 squares; PARTS lists them in their
order. The draws of one part do not depend on which others are applied. Those of ON_LUMA are of gray films; a film in
colour takes the change of its luma in all three channels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]
Gray = NDArray[np.float32]
Bools = NDArray[np.bool_]

SIDE = 224
"""Pixels along the square."""
SHARES = np.linspace(0.02, 0.98, 17)
"""Quantiles of the gray levels of the chest that describe a tone curve."""
CHEST = slice(SIDE // 7, SIDE - SIDE // 7)
"""Rows and columns in which tone is measured: dark around the patient is not lung."""
BLACK = 12
"""Highest gray level of a border."""
WIDEST = SIDE // 5
"""Largest border on one side, in pixels: black further in belongs to the film."""
STROKE, BRIGHT, BEYOND = 9, 150, 70
"""Letters are strokes thinner than this many pixels, with a pixel at least this gray, brighter than their surroundings
by this much…"""
SMALLEST, LARGEST = 3, 30
"""…whose height is between these, in pixels, and their width at most the larger…"""
UNEVEN = 16.0
"""…and whose surroundings vary less than this (standard deviation, gray levels), unlike beside a rib."""
SCALES = (112, 56, 28, 14)
"""Sides to which a film is reduced; contrast is measured between one and the next."""
MIDDLE = slice(SIDE // 5, SIDE - SIDE // 5)
"""Rows and columns without letters: strokes there are tubes and bone."""


@dataclass(frozen=True)
class Acquisition:
    """One film's acquisition."""

    aspect: float
    """Width over height of the film before it was stretched; 1 where it is not known."""
    sharpness: float
    """Mean absolute Laplacian, gray levels."""
    tone: Gray
    """float32 (17,), gray levels of the chest at SHARES."""
    noise: float
    """Standard deviation, gray levels."""
    border: tuple[int, int, int, int]
    """Black lines at top, bottom, left and right, in pixels of the square."""
    contrast: Gray
    """float32 (3, 2), gray levels: strength of detail between one of SCALES and the next, where the chest is dark and
    where it is bright. Some machines show ribs and spine through the heart, others do not."""
    marks: Pixels
    """uint8 (s, s): the gray of burnt-in letters, 0 elsewhere."""


def luma(square: Pixels) -> Pixels:
    """uint8 (s, s): a gray film as it is; of one in colour, (s, s, 3), the luma of docs/preprocessing.md, section 2."""
    return square if square.ndim == 2 else np.asarray(Image.fromarray(square).convert("L"))


def acquisition(square: Pixels, aspect: float = 1.0) -> Acquisition:
    """Measure a film.

    Args:
        square: uint8 (SIDE, SIDE) or (SIDE, SIDE, 3), the film stretched.
        aspect: its width over height before that.
    """
    square = luma(square)
    gray = square.astype(np.float32)
    marks = np.where(letters(square), square, 0).astype(np.uint8)
    return Acquisition(aspect, sharpness(gray), tone(gray), noise(gray), border(square), contrast(gray), marks)


def sharpness(gray: Gray) -> float:
    """Mean |4 p - up - down - left - right|, in gray levels, as `lucency audit` measures it."""
    across = 2 * gray[1:-1, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    down = 2 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1]
    return float(np.abs(across + down).mean())


def tone(gray: Gray) -> Gray:
    """Gray levels of the chest at SHARES, float32 (17,), ascending."""
    return np.quantile(gray[CHEST, CHEST], SHARES).astype(np.float32)


def noise(gray: Gray) -> float:
    """Standard deviation of noise, gray levels, from the flatter half of the film, with few edges.

    The second difference along rows of that along columns cancels planes and straight edges, and leaves 6 s of white
    noise of deviation s (Immerkaer 1996); the smaller half of |normal| has the mean 0.3247 s.
    """
    across = 2 * gray[:, 1:-1] - gray[:, :-2] - gray[:, 2:]
    left = np.abs(2 * across[1:-1] - across[:-2] - across[2:]).ravel()
    half = len(left) // 2
    return float(np.partition(left, half)[:half].mean() / (2 * 0.3247 * 3))


def contrast(gray: Gray) -> Gray:
    """Standard deviation of detail by scale and zone, float32 (3, 2), gray levels: dark, bright."""
    _, bands, base = bands_of(gray)
    bright = brightness(base)[CHEST, CHEST]
    weights = np.stack([1 - bright, bright])
    power = np.stack([band[CHEST, CHEST] ** 2 for band in bands])
    found = np.tensordot(power, weights, axes=((1, 2), (1, 2))) / np.maximum(weights.sum(axis=(1, 2)), 1.0)
    strengths: Gray = np.sqrt(found).astype(np.float32)
    return strengths


def bands_of(gray: Gray) -> tuple[Gray, list[Gray], Gray]:
    """Detail finer than SCALES, between one and the next, and coarser: their sum is the film.

    A Laplacian pyramid (Burt & Adelson 1983), each level at the film's own size.
    """
    views = [
        _size(_size(gray, side, Image.Resampling.BILINEAR), len(gray), Image.Resampling.BICUBIC) for side in SCALES
    ]
    return gray - views[0], [finer - coarser for finer, coarser in pairwise(views)], views[-1]


def brightness(base: Gray) -> Gray:
    """0 in the darkest quarter of the chest, 1 in the brightest, float32 (s, s)."""
    low, high = np.quantile(base[CHEST, CHEST], (0.25, 0.75))
    share: Gray = ((base - low) / max(high - low, 1.0)).clip(0, 1).astype(np.float32)
    return share


def _size(gray: Gray, side: int, how: Image.Resampling) -> Gray:
    return np.asarray(Image.fromarray(gray).resize((side, side), how))


def border(square: Pixels) -> tuple[int, int, int, int]:
    """Lines at top, bottom, left and right of which nine pixels in ten are black, counted from the edge."""
    dark = square <= BLACK
    rows, columns = dark.mean(axis=1) >= 0.9, dark.mean(axis=0) >= 0.9
    return _run(rows), _run(rows[::-1]), _run(columns), _run(columns[::-1])


def letters(square: Pixels) -> Bools:
    """Strokes of burnt-in letters, outside of the middle: bool (s, s)."""
    opened = ndimage.grey_opening(square, size=(STROKE, STROKE))
    strokes = square.astype(np.int16) - opened > BEYOND
    strokes[MIDDLE, MIDDLE] = False
    numbered, _ = ndimage.label(strokes, np.ones((3, 3)))
    kept = [n for n, box in enumerate(ndimage.find_objects(numbered), 1) if _is_letter(square, numbered, n, box)]
    return np.isin(numbered, kept) if kept else np.zeros_like(strokes)


def _is_letter(square: Pixels, numbered: NDArray[np.int32], number: int, box: tuple[slice, slice]) -> bool:
    height, width = (edge.stop - edge.start for edge in box)
    if not (SMALLEST <= height <= LARGEST and width <= LARGEST):
        return False
    near = tuple(slice(max(0, edge.start - 4), edge.stop + 4) for edge in box)
    stroke, gray = numbered[near] == number, square[near]
    rim = ndimage.binary_dilation(stroke, iterations=4) & ~ndimage.binary_dilation(numbered[near] > 0, iterations=2)
    return bool(rim.any() and gray[stroke].max() >= BRIGHT and gray[rim].std() < UNEVEN)


def _run(dark: Bools) -> int:
    """Length of the run of true values at the start, at most WIDEST."""
    lines = dark[:WIDEST]
    return int(lines.argmin()) if not lines.all() else WIDEST


Part = Callable[[Pixels, Acquisition, Acquisition, Generator], Pixels]

TONE = 0.6
"""Share of the way from each gray level to the donor's: 1 would give opacities the histogram of clear lungs."""
LOWERED = (112, 192)
"""Range of the side to which a film is reduced, pixels."""
QUALITY = (50, 95)
"""Range of the JPEG quality."""
CENTRAL = (0.3, 0.7)
"""Range of the position of a crop in the room left over."""
PASSES, FAINTER, STRONGER = 3, 0.6, 1.7
"""Iterations of contrast matching, and the bounds of the factor on the detail of one scale in each."""
STEPS = 9
"""Bisections of a search: to a 512th of the range."""
BLURRIEST, SHARPEST, HALO, GRAINLESS = 6.0, 10.0, 1.5, 0.8
"""Largest blur (standard deviation, pixels); largest amount of unsharp masking, and its blur; the blur that stands for
a film without noise."""


def aspect(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Crop the film to the donor's width over height, then stretch it."""
    ratio, lie = own.aspect / donor.aspect, rng.uniform(*CENTRAL)
    height, width = len(square) * min(1.0, ratio), len(square) * min(1.0, 1 / ratio)
    left, top = (len(square) - width) * lie, (len(square) - height) * lie
    return _stretched(square, (left, top, left + width, top + height))


def erased(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Remove burnt-in letters and black borders."""
    top, bottom, left, right = border(luma(square))
    side = len(square)
    return _stretched(_without_letters(square), (left, top, side - right, side - bottom))


def letters_swapped(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Replace burnt-in letters by the donor's."""
    marks = donor.marks if square.ndim == 2 else donor.marks[:, :, None]
    return np.where(marks > 0, marks, _without_letters(square))


def border_swapped(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Replace black borders by the donor's."""
    side = len(square)
    top, bottom, left, right = border(luma(square))
    inner = Image.fromarray(square).crop((left, top, side - right, side - bottom))
    top, bottom, left, right = donor.border
    framed = np.zeros_like(square)
    size = (side - right - left, side - bottom - top)
    framed[top : side - bottom, left : side - right] = np.asarray(inner.resize(size, Image.Resampling.BILINEAR))
    return framed


def resolution(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Reduce the film and enlarge it again."""
    through = int(rng.integers(LOWERED[0], LOWERED[1] + 1))
    small = Image.fromarray(square).resize((through, through), Image.Resampling.BILINEAR)
    return np.array(small.resize(square.shape[1::-1], Image.Resampling.BICUBIC))


def tone_matched(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Move gray levels towards the donor's quantiles, by TONE of the way."""
    here = tone(square.astype(np.float32))
    rising = here + 1e-3 * np.arange(1, len(here) + 1)  # equal quantiles would not increase
    moved = rising + TONE * (donor.tone - rising)
    curve = np.interp(np.arange(256), [0.0, *rising, 256.0], [0.0, *moved, 256.0])
    return _bytes(curve)[square]


def contrast_matched(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Match the strength of detail, scale by scale, where the chest is dark and where it is bright."""
    gray = square.astype(np.float32)
    for _ in range(PASSES):  # neighbouring scales overlap
        finest, bands, base = bands_of(gray)
        factors = (donor.contrast / np.maximum(contrast(gray), 0.1)).clip(FAINTER, STRONGER)
        bright = brightness(base)
        moved = [band * (dark + (light - dark) * bright) for band, (dark, light) in zip(bands, factors, strict=True)]
        gray = finest + base + np.sum(moved, axis=0)
    return _bytes(gray)


def noise_matched(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Add white noise, or remove fine grain, until the film is as noisy as the donor."""
    gray = square.astype(np.float32)
    grain = rng.standard_normal(square.shape, dtype=np.float32)
    have = noise(gray)
    if have <= donor.noise:
        return _bytes(gray + grain * np.sqrt(donor.noise**2 - have**2))
    smooth = ndimage.gaussian_filter(gray, GRAINLESS)
    return _bytes(_search(lambda k: gray + k * (smooth - gray), lambda film: -noise(film), -donor.noise, 1.0))


def sharpness_matched(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Blur, or mask unsharply, until the film is as sharp as the donor."""
    gray = square.astype(np.float32)
    if sharpness(gray) > donor.sharpness:

        def blurred(sigma: float) -> Gray:
            return np.asarray(ndimage.gaussian_filter(gray, sigma), dtype=np.float32)

        return _bytes(_search(blurred, lambda film: -sharpness(film), -donor.sharpness, BLURRIEST))
    detail = gray - ndimage.gaussian_filter(gray, HALO)
    return _bytes(_search(lambda k: (gray + k * detail).clip(0, 255), sharpness, donor.sharpness, SHARPEST))


def jpeg(square: Pixels, own: Acquisition, donor: Acquisition, rng: Generator) -> Pixels:
    """Compress the film as JPEG once more."""
    stored = io.BytesIO()
    Image.fromarray(square).save(stored, "JPEG", quality=int(rng.integers(QUALITY[0], QUALITY[1] + 1)))
    with Image.open(stored) as opened:
        return np.array(opened)


PARTS: dict[str, Part] = {
    "erased": erased,
    "letters": letters_swapped,
    "border": border_swapped,
    "aspect": aspect,
    "resolution": resolution,
    "tone": tone_matched,
    "contrast": contrast_matched,
    "noise": noise_matched,
    "jpeg": jpeg,
    "sharpness": sharpness_matched,
}
"""The parts in their order; sharpness last, since every other part changes it."""
ON_LUMA = ("tone", "contrast", "noise", "sharpness")
"""Those that are defined on gray levels."""
ALL = tuple(name for name in PARTS if name != "erased")
"""All together; letters and borders are then the donor's."""


def reacquire(square: Pixels, own: Acquisition, donor: Acquisition, parts: Sequence[str], rng: Generator) -> Pixels:
    """Apply parts of the donor's acquisition to a film.

    Args:
        square: uint8 (s, s), or (s, s, 3) in colour.
        own: its acquisition; only its aspect is used, the rest is measured again before each part.
        donor: the other film's.
        parts: names of PARTS, in any order.
        rng: of this film; the same state gives the same bytes.

    Returns:
        uint8, of the same shape.
    """
    for name, draws in zip(PARTS, rng.spawn(len(PARTS)), strict=True):
        if name in parts:
            through = luma(square) if name in ON_LUMA else square
            again = PARTS[name](through, own, donor, draws)
            square = again if again.shape == square.shape else _with_luma(square, through, again)
    return square


def _with_luma(rgb: Pixels, before: Pixels, after: Pixels) -> Pixels:
    """A picture in colour whose luma changes from `before` to `after`; its chroma stays where no channel is clipped."""
    return _bytes(rgb + (after.astype(np.float32) - before)[:, :, None])


def _without_letters(square: Pixels) -> Pixels:
    """Fill letters with what surrounds them."""
    strokes = letters(luma(square))
    if not strokes.any():
        return square
    strokes = ndimage.binary_dilation(strokes, iterations=2)
    if square.ndim == 3:
        return np.where(
            strokes[:, :, None], np.stack([_around(plane) for plane in np.moveaxis(square, 2, 0)], 2), square
        )
    return np.where(strokes, _around(square), square)


def _around(gray: Pixels) -> Pixels:
    """What surrounds letters, at every pixel."""
    return np.asarray(ndimage.uniform_filter(ndimage.grey_opening(gray, size=(13, 13)), size=5))


def _stretched(square: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    side = len(square)
    return np.array(Image.fromarray(square).resize((side, side), Image.Resampling.BILINEAR, box=box))


def _search(make: Callable[[float], Gray], measure: Callable[[Gray], float], wanted: float, most: float) -> Gray:
    """`make(k)` with the k from 0 to `most` whose measure, rising in k, comes nearest below `wanted`."""
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if measure(make(middle)) < wanted else (low, middle)
    return make(low)


def _bytes(gray: NDArray[np.floating]) -> Pixels:
    found: Pixels = np.rint(gray).clip(0, 255).astype(np.uint8)
    return found
