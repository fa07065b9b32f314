"""Looks for text burnt into the pixels, as shown and as stored, with the networks of PP-OCRv6 (package rapidocr).

A line is text of about four letters or more, at any angle: a side marker with its technician's initials is none. Lines
that read as words of WORDS are no names. What is found and what is not: docs/deid.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lucency.errors import ExtraError
from lucency.film import Film
from lucency.film.dicom import Stored

TILE, OVERLAP = 1088, 192
"""Pixels: the detector sees a film in squares, so that its memory is bounded; a multiple of its stride, 32."""
SMALL, LARGE = 1024, 1600
"""Pixels along the longer side: below, a film is searched at twice its size; above, at half of it as well."""
AROUND = 13
"""Pixels along the square to whose mean a pixel is compared."""
LIKELY, SURE = 0.3, 0.6
"""Probability of text that each pixel of a line has, and all of them on average, at least; as PP-OCR."""
SHORT, LONG = 2.4, 3.5
"""Length over height: of a line at least, and from where on it need not be legible."""
OBVIOUS = 0.85
"""Probability of text, on average, of a line that is not legible."""
LOWEST, TALLEST = 8, 0.1
"""Height of a line: pixels at least, and of the shorter side of the film at most."""
FILLED = 0.6
"""Share of the line's rectangle that is text, at least: ribs and tubes are bent."""
UNCLIP = 1.6
"""The detector marks the core of a line, shrunk by this times area over perimeter. Liao et al. 2020, eq. 10."""
APART, ALIKE, ASIDE = 3.0, 1.6, 0.35
"""Of letters seen one by one, at most: distance to the next, over their size; ratio of sizes; distance from their row,
over their size."""
ROW = 5
"""So many such letters are a row."""
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
STRIP = 48
"""Height of a line that is read, pixels."""
LEGIBLE, CERTAIN = 0.6, 0.8
"""Probability of its characters, on average, where it is read, and where it is one of WORDS."""
WORDS = frozenset(
    (
        *("L", "R", "LEFT", "RIGHT", "LT", "RT", "AP", "PA", "LAT", "LATERAL", "VIEW", "CHEST", "PORTABLE", "PORT"),
        *("MOBILE", "BEDSIDE", "SUPINE", "SEMI", "ERECT", "SEMIERECT", "UPRIGHT", "SEMIUPRIGHT", "SITTING", "STANDING"),
        *("DECUB", "DECUBITUS", "INSP", "INSPIRATION", "EXP", "EXPIRATION", "GRID"),
    )
)
"""What technicians lay or stamp on a film."""

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Line:
    """A line of text, pixels."""

    center: tuple[float, float]
    """Row and column."""
    along: tuple[float, float]
    """The direction of its longer side, rows and columns."""
    length: float
    height: float
    sure: float = 1.0
    """Probability of text, on average."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, bottom, left, right of the upright rectangle around it."""
        down, right = (abs(part) for part in self.along)
        tall, wide = self.length * down + self.height * right, self.length * right + self.height * down
        (row, column) = self.center
        top, left = max(0, round(row - tall / 2)), max(0, round(column - wide / 2))
        return top, round(row + tall / 2), left, round(column + wide / 2)


def find_text(film: Film, stored: Stored) -> list[Line]:
    """The lines of text in a film but for those that say WORDS.

    Raises:
        ExtraError: the networks are not installed.
    """
    found: list[Line] = []
    for view in views(film, stored):
        for scale in _scales(max(view.shape)):
            scaled = _scaled(view, scale)
            blobs = _blobs(_probability(scaled))
            lines = [line for line in _lines(blobs, min(view.shape) * scale) if _is_text(scaled, line)]
            found += [_grown(line, 1 / scale) for line in (*lines, *_rows(blobs))]
    return found


def views(film: Film, stored: Stored) -> Iterator[Gray]:
    """The film as shown; how each stored value differs from those around it; what is shown as plain black or white.

    Of a picture in colour its luma takes the film's place, and each channel is compared with its surroundings, too.
    """
    yield film.gray8()
    if "colour" in film.facts and stored.colour is not None:
        yield from (contrasts(channel.astype(np.int32)) for channel in np.moveaxis(stored.colour, 2, 0))
    codes = stored.codes.astype(np.int32)
    if stored.signed:
        codes = (codes ^ (1 << (stored.bits - 1))) - (1 << (stored.bits - 1))
    yield contrasts(codes)
    for end in (0, np.iinfo(film.pixels.dtype).max):
        hidden = codes[film.pixels == end]
        if hidden.size and (span := np.ptp(hidden)):
            low = hidden.min()
            yield ((codes.clip(low, low + span) - low) * (255 / span)).astype(np.uint8)


def contrasts(codes: NDArray[np.int32]) -> Gray:
    """How much brighter or darker each pixel is than those around it, faint and strong alike.

    The inverse hyperbolic sine of the difference over its median: a step of one code in an even border shows as does
    white on black.
    """
    film = codes.astype(np.float32)
    difference = film - ndimage.uniform_filter(film, AROUND)
    usual = max(float(np.median(np.abs(difference))), 0.5)
    contrast: Gray = np.clip(128 + 30 * np.arcsinh(difference / usual), 0, 255).astype(np.uint8)
    return contrast


def _scales(side: int) -> tuple[float, ...]:
    return (2,) if side < SMALL else (1,) if side <= LARGE else (1, 0.5)


def _scaled(view: Gray, scale: float) -> Gray:
    if scale == 1:
        return view
    size = round(view.shape[1] * scale), round(view.shape[0] * scale)
    return np.asarray(Image.fromarray(view).resize(size, Image.Resampling.BILINEAR))


def _blobs(probability: NDArray[np.float32]) -> list[tuple[Line, float]]:
    """What the detector is sure of, words or letters, and how much of its rectangle each fills."""
    labels, _ = ndimage.label(probability > LIKELY)
    blobs = []
    for label, where in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[where] == label
        if inside.sum() >= 8 and (sure := float(probability[where][inside].mean())) >= SURE:
            blobs.append(_measured(inside, (where[0].start, where[1].start), sure))
    return blobs


def _lines(blobs: list[tuple[Line, float]], side: float) -> list[Line]:
    fits = [(line, filled) for line, filled in blobs if LOWEST <= line.height <= TALLEST * side]
    return [line for line, filled in fits if line.length >= SHORT * line.height and filled >= FILLED]


def _rows(blobs: list[tuple[Line, float]]) -> Iterator[Line]:
    """Rows of letters that the detector sees one by one: spaced out, or one below another."""
    letters = [line for line, _ in blobs if line.height >= LOWEST and line.length < SHORT * line.height]
    if len(letters) < ROW:
        return
    places = np.array([line.center for line in letters])
    sizes = np.array([line.length for line in letters])
    for one, other in zip(*np.nonzero(np.triu(_beside(places, sizes), 1)), strict=True):
        along = (places[other] - places[one]) / np.linalg.norm(places[other] - places[one])
        ratio = sizes / sizes[one]
        aside = np.abs((places - places[one]) @ (along[1], -along[0]))
        row = np.nonzero((aside <= ASIDE * sizes[one]) & (ratio <= ALIKE) & (ratio >= 1 / ALIKE))[0]
        row = row[np.argsort((places[row] - places[one]) @ along)]
        gaps = np.linalg.norm(np.diff(places[row], axis=0), axis=1)
        for part in np.split(row, np.nonzero(gaps > APART * sizes[one])[0] + 1):
            if len(part) >= ROW:
                ends = places[part[0]], places[part[-1]]
                center, length = (ends[0] + ends[1]) / 2, float(np.linalg.norm(ends[1] - ends[0])) + sizes[one]
                yield Line((center[0], center[1]), (along[0], along[1]), length, float(sizes[one]))
                return


def _beside(places: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which two letters may be neighbours, (n, n)."""
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    ratio = sizes[:, None] / sizes[None]
    beside: NDArray[np.bool_] = (distance <= APART * sizes[:, None]) & (ratio <= ALIKE) & (ratio >= 1 / ALIKE)
    return beside


def _measured(inside: NDArray[np.bool_], corner: tuple[int, int], sure: float) -> tuple[Line, float]:
    """The rectangle with the moments of a region, grown from core to line, and how much of the core is filled."""
    places = np.argwhere(inside).astype(float)
    spread, axes = np.linalg.eigh(np.cov(places.T) + np.eye(2) / 12)
    thin, long = np.sqrt(12 * spread)
    margin = UNCLIP * len(places) / (thin + long)  # on both sides together
    center = places.mean(axis=0) + corner
    line = Line((center[0], center[1]), (axes[0, 1], axes[1, 1]), long + margin, thin + margin, sure)
    return line, len(places) / (thin * long)


def _probability(view: Gray) -> NDArray[np.float32]:
    found = np.zeros(view.shape, dtype=np.float32)
    for top, left in _corners(*view.shape):
        here = np.s_[top : top + TILE, left : left + TILE]
        found[here] = np.maximum(found[here], _detected(view[here]))
    return found


def _corners(height: int, width: int) -> Iterator[tuple[int, int]]:
    step = TILE - OVERLAP
    for top in range(0, max(1, height - OVERLAP), step):
        for left in range(0, max(1, width - OVERLAP), step):
            yield top, left


def _detected(tile: Gray) -> NDArray[np.float32]:
    height, width = tile.shape
    padded = np.pad(tile, ((0, -height % 32), (0, -width % 32)), mode="edge")
    planes = (padded[None] / 255 - MEAN[:, None, None]) / DEVIATION[:, None, None]
    result: NDArray[np.float32] = _network("PP-OCRv6_det_small.onnx").run(None, {"x": planes[None].astype(np.float32)})[
        0
    ]
    return result[0, 0, :height, :width]


def _is_text(view: Gray, line: Line) -> bool:
    """Whether a line is more than ribs, a side marker with initials, or WORDS: by what it says, either way up."""
    strip = _strip(view, line)
    readings = [_read(strip), _read(strip[::-1, ::-1])]
    for text, sure in readings:
        words = re.findall(r"\w+", text.upper())
        if words and sure >= CERTAIN and WORDS.issuperset(words):
            return False
    letters = max(sum(map(str.isalnum, text)) if sure >= LEGIBLE else 0 for text, sure in readings)
    long = line.length >= LONG * line.height
    obvious = line.sure >= OBVIOUS and any(text for text, _ in readings)  # nothing is read in a tube
    return letters >= 4 or (long and (letters == 3 or obvious))


def _strip(view: Gray, line: Line) -> Gray:
    """The line turned level, STRIP pixels high."""
    scale = line.height / STRIP
    across = np.arange(STRIP)[:, None] - (STRIP - 1) / 2
    along = np.arange(round(line.length / scale))[None] - (line.length / scale - 1) / 2
    down, right = line.along if line.along[1] >= 0 else (-line.along[0], -line.along[1])
    rows = line.center[0] + scale * (along * down + across * right)
    columns = line.center[1] + scale * (along * right - across * down)
    return np.asarray(ndimage.map_coordinates(view, [rows, columns], order=1, mode="nearest"))


def _read(strip: Gray) -> tuple[str, float]:
    """What it says, and the probability of its characters on average. Connectionist temporal classification."""
    network = _network("PP-OCRv6_rec_small.onnx")
    planes = np.repeat((strip[None] / 127.5 - 1).astype(np.float32), 3, axis=0)
    steps = network.run(None, {"x": planes[None]})[0][0]
    best = steps.argmax(axis=1)
    first = (best > 0) & np.concatenate([[True], best[1:] != best[:-1]])
    alphabet = [*network.get_modelmeta().custom_metadata_map["character"].splitlines(), " "]
    return "".join(alphabet[index - 1] for index in best[first]), float(
        steps.max(axis=1)[first].mean() if first.any() else 0
    )


@cache
def _network(name: str) -> Any:
    spec = find_spec("rapidocr")  # for its networks alone: importing it would import much more
    if spec is None or spec.origin is None or find_spec("onnxruntime") is None:
        raise ExtraError("this needs rapidocr: pip install 'lucency[deid]'; or look at the films and use --seen")
    import onnxruntime

    path = Path(spec.origin).parent / "models" / name
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _grown(line: Line, scale: float) -> Line:
    row, column = line.center
    return Line((row * scale, column * scale), line.along, line.length * scale, line.height * scale, line.sure)
