"""Maps as pictures; the only place that rescales a map.

An overlay shows the film with its strongest evidence: a light veil and contours from the map's own maximum down, a box
around the strongest place, and the lungs' outline where it is known. A map alone, beside its scale, is drawn in colours
that end at a fixed number of logits, so that two films compare.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lucency import NOTICE
from lucency.errors import ExplainError
from lucency.film import Film
from lucency.modality import MODALITIES, Modality
from lucency.preprocess import Preprocess

Map = NDArray[np.float32]
"""float32 (h, w), signed: above zero speaks for the finding, below zero against it."""

LIMIT = 10.0
"""Logits at which colours saturate by default. The same for every film, so that two films compare."""

OUTSIDE, ZERO, TOP = 0, 128, 255
"""Levels: outside the network's input; no evidence either way; the end of the scale."""

PAPER, INK, FAINT, WARN = (255, 255, 255), (20, 20, 20), (110, 110, 110), (170, 30, 0)

AGAINST, NEITHER, FOR = (8, 40, 110), (134, 134, 134), (255, 222, 70)
"""Dark blue → middle gray → bright yellow. Lightness is monotone, so a gray print keeps the order, and blue and yellow
are distinct under red-green blindness. Red minus blue is monotone too: over any gray film, it depends on the evidence
alone."""

COVER = 0.72
"""Share of the film's gray that the strongest evidence hides in a blend."""
LUNGS, BOX = (120, 190, 255), (255, 120, 60)
"""Colours of the lungs' outline and of the box around the strongest evidence."""
CONTOURS = (0.5, 0.75)
"""Contours of an overlay, as shares of the map's maximum."""
ON_COLOUR, VEIL_ON_COLOUR = (0, 230, 255), 0.5
"""In place of FOR and VEIL on pictures in colour: yellow hardly shows on skin and retina, cyan is in neither."""
VEIL, VEIL_FROM = 0.35, 0.25
"""Opacity of the veil over the strongest evidence, and the share of the maximum where the veil begins."""
BOXED = 0.75
"""The box bounds the cells around the strongest one with at least this share of its evidence."""
FAINT_SHARE = 0.1
"""Share of the scale's end below which evidence is faint: it is drawn relative to this instead of its own maximum."""


def levels(values: NDArray[np.floating], limit: float = LIMIT) -> NDArray[np.uint8]:
    """Evidence to levels: 128 + round(127 · clip(v / limit, -1, 1)); more evidence never gets a lower level.

    Args:
        values: logits, any shape.
        limit: logits at either end of the scale.

    Raises:
        ExplainError: a value is not a number or infinite, or the limit is not above zero.
    """
    if not (math.isfinite(limit) and limit > 0):
        raise ExplainError(f"the scale of a map must end above zero, got {limit}; give --scale a number of logits")
    if not np.isfinite(values).all():
        raise ExplainError("the map is not finite: the network's weights or the film are broken; nothing is drawn")
    # In single precision and in place: this passes over every pixel of the film.
    level = np.array(values, dtype=np.float32)
    level /= limit
    np.clip(level, -1.0, 1.0, out=level)
    level *= TOP - ZERO
    np.rint(level, out=level)
    level += ZERO
    return level.astype(np.uint8)


def colourmap() -> NDArray[np.uint8]:
    """The colour of each level, uint8 (256, 3); level 0 (outside) is white, which no evidence has."""
    share = (np.arange(256) - ZERO) / (TOP - ZERO)
    anchors = np.array([AGAINST, NEITHER, FOR], dtype=np.float64)
    colours = np.stack([np.interp(share, [-1.0, 0.0, 1.0], channel) for channel in anchors.T], axis=1)
    colours[OUTSIDE] = 255
    return np.asarray(np.rint(colours), dtype=np.uint8)


def opacities() -> list[int]:
    """Opacity of each level in a blend, 0 to 255: nothing at zero, COVER at either end."""
    share = np.abs(np.arange(256) - ZERO) / (TOP - ZERO)
    share[OUTSIDE] = 0.0
    return [int(value) for value in np.rint(255 * COVER * share)]


def colourise(level: Image.Image) -> Image.Image:
    """An image of levels (mode L) in colour (mode RGB)."""
    picture = level.copy()
    picture.putpalette(colourmap().tobytes())
    return picture.convert("RGB")


def blend(film: Image.Image, level: Image.Image) -> Image.Image:
    """A gray film (mode L) under an image of levels of the same size, RGB; without evidence, the film itself."""
    return Image.composite(colourise(level), film.convert("RGB"), level.point(opacities()))


Window = tuple[int, int, int, int]
"""left, top, right, bottom in the film's pixels; beyond the film where it was padded."""


def window(preprocess: Preprocess, height: int, width: int) -> Window:
    """The part of a film that became the network's square.

    stretch: the whole film. crop: the square of the short side in its middle. pad: the square of the long side
    around it, so parts of the window lie off the film.
    """
    if preprocess.resize_mode == "stretch":
        return 0, 0, width, height
    side = min(height, width) if preprocess.resize_mode == "crop" else max(height, width)
    left, top = int((width - side) / 2), int((height - side) / 2)  # toward zero: an odd remainder is right or below
    return left, top, left + side, top + side


def place_map(
    evidence: Map, preprocess: Preprocess, height: int, width: int, limit: float = LIMIT, smooth: bool = True
) -> Image.Image:
    """A map over a film of the given size, as levels (mode L); level 0 outside the network's input.

    Between the centres of its cells the map is interpolated linearly, which cannot overshoot; `smooth=False` shows
    the cells as they are.

    Raises:
        ExplainError: the map is not (h, w), is empty, or has values that are not finite.
    """
    _check_map(evidence)
    left, top, right, bottom = window(preprocess, height, width)
    area = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    cell_x, cell_y = evidence.shape[1] / (right - left), evidence.shape[0] / (bottom - top)
    box = (area[0] - left) * cell_x, (area[1] - top) * cell_y, (area[2] - left) * cell_x, (area[3] - top) * cell_y
    spread = _resized(evidence, (area[2] - area[0], area[3] - area[1]), box, smooth)
    canvas = Image.new("L", (width, height), OUTSIDE)
    canvas.paste(Image.fromarray(levels(spread, limit)), (area[0], area[1]))
    return canvas


def _resized(
    evidence: Map, size: tuple[int, int], box: tuple[float, float, float, float], smooth: bool
) -> NDArray[np.float32]:
    """The part of a map inside `box` (cells: left, top, right, bottom), drawn `size` (width, height) pixels large."""
    image = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(image.resize(size, method, box=box))


@dataclass(frozen=True)
class Legend:
    """How to read a map, and warnings about it."""

    limit: float = LIMIT
    """Either end of the scale, in `unit`."""
    finding: str = "the finding"
    """The finding for which bright yellow is evidence, and against which dark blue is."""
    unit: str = "logits"
    title: str = ""
    """One line above the film: the probability, the method. Never a patient's name: pictures are shared."""
    mark: str = ""
    """A warning to show with the map, such as a failed randomisation test."""
    kind: Modality = MODALITIES["chest_xray"]
    """Of the picture."""

    @property
    def key(self) -> str:
        """What the marks mean, in a line."""
        colour = "Yellow" if self.kind.channels == 1 else "Cyan"
        said = f"{colour}: strongest evidence for {self.finding}; box: its maximum"
        return f"{said}; blue: lungs found" if self.kind.lungs else said


def overlay(
    film: Film,
    evidence: Map,
    preprocess: Preprocess,
    legend: Legend | None = None,
    smooth: bool = True,
    lungs: Map | None = None,
) -> Image.Image:
    """The film at its own size with the strongest evidence for the finding marked, mode RGB.

    A veil and contours fall from the map's own maximum, and a box bounds the strongest place. Faint evidence, less
    than FAINT_SHARE of the legend's limit, is not stretched to look like more; without any the film is unchanged.
    The lungs' outline cuts nothing off: evidence outside it is a warning. A frame bounds what the
    network saw of a cropped film.

    Args:
        film: any film.
        evidence: float32 (h, w), over the square the network saw.
        preprocess: how that square was cut from the film.
        legend: its limit defines faint evidence, its mark is painted across the film.
        smooth: interpolate between cells; False shows the network's own cells.
        lungs: (g, g) over the whole film, above zero in the lungs, as `lucency.lungs` finds them; outlined.

    Raises:
        ExplainError: the map is empty, not two-dimensional, or has values that are not finite.
    """
    _check_map(evidence)
    legend = legend or Legend()
    top = max(float(evidence.max()), FAINT_SHARE * legend.limit)
    area = window(preprocess, film.height, film.width)
    picture = _veiled(shown(film, preprocess), evidence / top, area, smooth)
    pen = ImageDraw.Draw(picture)
    wide = max(1, round(min(picture.size) / 300))
    if lungs is not None:
        _draw_contour(pen, lungs, 0.0, (0, 0, *picture.size), LUNGS, wide)
    if smooth:
        for share in CONTOURS:
            _draw_contour(pen, evidence, share * top, area, FOR if preprocess.channels == 1 else ON_COLOUR, wide)
    if evidence.max() >= top:
        pen.rectangle(_strongest(evidence, area, picture.size), outline=BOX, width=2 * wide)
    return stamp(_framed(picture, preprocess), legend.mark)


def shown(film: Film, preprocess: Preprocess) -> Image.Image:
    """The film as its network sees it: mode L, or RGB where that takes colour."""
    return Image.fromarray(film.gray8() if preprocess.channels == 1 else film.rgb8())


def outlined(film: Film, lungs: Map) -> Image.Image:
    """The film with the lungs' outline, mode RGB; `lungs` as for `overlay`."""
    picture = Image.fromarray(film.gray8()).convert("RGB")
    wide = max(1, round(min(picture.size) / 300))
    _draw_contour(ImageDraw.Draw(picture), lungs, 0.0, (0, 0, *picture.size), LUNGS, wide)
    return picture


def _veiled(film: Image.Image, share: Map, area: Window, smooth: bool) -> Image.Image:
    """A film, mode L or RGB, under the veil: opacity by the evidence as a share of the strongest, from VEIL_FROM on."""
    picture = film.convert("RGB")
    colour, most = (FOR, VEIL) if film.mode == "L" else (ON_COLOUR, VEIL_ON_COLOUR)
    opacity = np.clip((share - VEIL_FROM) / (1 - VEIL_FROM), 0, 1)
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    if not len(rows):
        return picture
    # Only where the veil is visible, and one cell around, into which it is interpolated.
    top, bottom = max(rows[0] - 1, 0), min(rows[-1] + 2, len(opacity))
    left, right = max(columns[0] - 1, 0), min(columns[-1] + 2, opacity.shape[1])
    cells = Image.fromarray(np.rint(255 * most * opacity[top:bottom, left:right]).astype(np.uint8))
    cell_x, cell_y = (area[2] - area[0]) / opacity.shape[1], (area[3] - area[1]) / len(opacity)
    x, y = round(area[0] + left * cell_x), round(area[1] + top * cell_y)
    size = max(1, round((right - left) * cell_x)), max(1, round((bottom - top) * cell_y))
    mask = cells.resize(size, Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST)
    part = film.crop((x, y, x + size[0], y + size[1]))
    channels = [part.copy() for _ in colour] if part.mode == "L" else list(part.split())
    for channel, value in zip(channels, colour, strict=True):
        channel.paste(value, (0, 0, *size), mask)  # three times as fast as a paste into RGB
    picture.paste(Image.merge("RGB", channels), (x, y))
    return picture


def strongest_cells(evidence: Map) -> Window:
    """The smallest box with the strongest cell that no cell with BOXED of its evidence or more touches, in cells."""
    hot = evidence >= BOXED * evidence.max()
    row, column = (int(place) for place in np.unravel_index(int(evidence.argmax()), evidence.shape))
    box = np.array([row, column, row, column])
    while True:  # grow while a cell beside the box belongs to it
        rows, columns = slice(max(box[0] - 1, 0), box[2] + 2), slice(max(box[1] - 1, 0), box[3] + 2)
        found = np.argwhere(hot[rows, columns]) + np.array([rows.start, columns.start])
        grown = np.append(found.min(axis=0), found.max(axis=0))
        if np.array_equal(grown, box):
            return int(box[1]), int(box[0]), int(box[3]) + 1, int(box[2]) + 1
        box = grown


def _strongest(evidence: Map, area: Window, size: tuple[int, int]) -> Window:
    """The same box in the film's pixels."""
    box = np.array(strongest_cells(evidence)).reshape(2, 2)
    cell = np.array([(area[2] - area[0]) / evidence.shape[1], (area[3] - area[1]) / evidence.shape[0]])
    first, last = ((edge * cell + area[:2]).round().clip(0, np.array(size) - 1) for edge in box)
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


def contour(values: Map, level: float) -> NDArray[np.float64]:
    """The contour of a grid at a level, as segments (n, 2, 2) of (x, y) in cells, by marching squares.

    Lorensen & Cline 1987 in two dimensions. Outside the grid all is below the level, so contours are closed.
    """
    v = np.pad(np.asarray(values, dtype=np.float64) - level, 1, constant_values=-1.0)
    v[v == 0] = -1e-9
    a, b, c, d = v[:-1, :-1], v[:-1, 1:], v[1:, 1:], v[1:, :-1]
    y, x = np.indices(a.shape) - 0.5  # of the centre of corner a, as the pad shifts the grid by a cell
    with np.errstate(divide="ignore", invalid="ignore"):
        points = np.stack(
            [
                np.stack([x + a / (a - b), y], axis=-1),
                np.stack([x + 1, y + b / (b - c)], axis=-1),
                np.stack([x + d / (d - c), y + 1], axis=-1),
                np.stack([x, y + a / (a - d)], axis=-1),
            ],
            axis=2,
        )
    crossed = np.stack([a * b < 0, b * c < 0, d * c < 0, a * d < 0], axis=2)
    pairs = crossed.sum(axis=2) == 2
    two = points[pairs][crossed[pairs]].reshape(-1, 2, 2)
    saddles = crossed.all(axis=2)  # each segment goes around one corner above the level
    first, other = points[saddles & (a > 0)], points[saddles & (b > 0)]
    return np.concatenate([two, first[:, [0, 3]], first[:, [1, 2]], other[:, [0, 1]], other[:, [2, 3]]])


def _draw_contour(
    pen: ImageDraw.ImageDraw, values: Map, level: float, area: Window, colour: tuple[int, int, int], wide: int
) -> None:
    left, top, right, bottom = area
    scale = np.array([(right - left) / values.shape[1], (bottom - top) / values.shape[0]])
    for segment in (contour(values, level) * scale + (left, top)).reshape(-1, 4).tolist():
        pen.line(segment, fill=colour, width=wide)


def _check_map(evidence: Map) -> None:
    if evidence.ndim != 2 or not evidence.size:
        raise ExplainError(f"a map must be (h, w) with at least one cell, received shape {evidence.shape}")
    if not np.isfinite(evidence).all():
        raise ExplainError("the map is not finite: the network's weights or the film are broken; nothing is drawn")


def map_alone(
    film: Film, evidence: Map, preprocess: Preprocess, legend: Legend | None = None, smooth: bool = True
) -> Image.Image:
    """The evidence in colour without the film, in the film's size and shape, mode RGB."""
    legend = legend or Legend()
    level = place_map(evidence, preprocess, film.height, film.width, legend.limit, smooth)
    return stamp(_framed(colourise(level), preprocess), legend.mark)


def png(picture: Image.Image) -> bytes:
    """The picture as PNG, with the caption as its description and no metadata of the film."""
    from PIL.PngImagePlugin import PngInfo

    facts = PngInfo()
    facts.add_text("Description", NOTICE)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", pnginfo=facts)
    return stream.getvalue()


def _framed(picture: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Frame the network's input if it is less than the film."""
    left, top, right, bottom = window(preprocess, picture.height, picture.width)
    if left > 0 or top > 0:
        wide = max(1, max(picture.size) // 400)
        ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), outline=FOR, width=wide)
    return picture


def stamp(picture: Image.Image, mark: str) -> Image.Image:
    """Write a warning across the top of a picture, large enough for a thumbnail, truncated if too long."""
    if not mark:
        return picture
    size = max(9, picture.width // 22)
    while size > 9 and text_width(mark, font_of(size)) > picture.width - 4:
        size -= 1
    font = font_of(size)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, picture.width, line_height(font) + 4), fill=WARN)
    pen.text((2, 2), mark, fill=PAPER, font=font)
    return picture


def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


def text_width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    """Width of a line of text in pixels."""
    return math.ceil(font.getlength(text))


def line_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    """Height of a line in pixels."""
    return math.ceil(font.getbbox("Ag")[3]) + 2
