"""Looks for text burnt into the pixels: rows of letters, brighter or darker than what lies behind them.

It finds lines of at least LETTERS characters; a single side marker, as technicians lay beside every chest, is not a
name. How many lines it finds and how often it cries wolf was measured: docs/deid.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LETTERS = 4
"""Characters in a row, at least."""
STROKE = 9
"""Pixels: a stroke of a letter is thinner."""
CONTRAST = 40
"""Gray levels of 255 between a stroke and what lies around it."""
LOWEST, TALLEST = 6, 72
"""Height of a letter at one scale, pixels."""
SCALES = (1, 3)
"""Full size, and a third of it for large letters."""

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """Where a letter or line lies, pixels; bottom and right are just beyond it."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top


def text_lines(gray: Gray) -> list[Box]:
    """The lines of text in a film, uint8 (h, w)."""
    found = []
    for scale in SCALES:
        small = _reduced(gray, scale)
        for strokes in (_thin_bright(small), _thin_bright(255 - small)):
            found += [_grown(line, scale) for line in _lines(_letters(strokes))]
    return found


def _reduced(gray: Gray, scale: int) -> Gray:
    rows, columns = (size // scale * scale for size in gray.shape)
    if scale == 1 or not rows or not columns:
        return gray
    blocks = gray[:rows, :columns].reshape(rows // scale, scale, columns // scale, scale)
    small: Gray = blocks.mean(axis=(1, 3)).astype(np.uint8)
    return small


def _thin_bright(gray: Gray) -> NDArray[np.bool_]:
    """Pixels brighter by CONTRAST than the brightest square of STROKE pixels around them: the white top-hat."""
    opened = ndimage.grey_opening(gray, size=(STROKE, STROKE))
    return np.asarray(gray - np.minimum(gray, opened) > CONTRAST)


def _letters(strokes: NDArray[np.bool_]) -> list[Box]:
    labels, _ = ndimage.label(strokes, structure=np.ones((3, 3)))
    boxes = [Box(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in ndimage.find_objects(labels)]
    return [box for box in boxes if _is_letter(box)]


def _is_letter(box: Box) -> bool:
    return LOWEST <= box.height <= TALLEST and box.right - box.left <= 2 * box.height


def _lines(letters: list[Box]) -> list[Box]:
    """Letters that follow each other at one height, LETTERS of them or more."""
    lines: list[Box] = []
    waiting = sorted(letters, key=lambda box: box.left)
    taken = [False] * len(waiting)
    for first, box in enumerate(waiting):
        if taken[first]:
            continue
        line = [box]
        for place in range(first + 1, len(waiting)):
            if waiting[place].left - line[-1].right > TALLEST:
                break  # a noisy film has thousands of specks: none is compared with all the others
            if not taken[place] and _follows(line[-1], waiting[place]):
                line.append(waiting[place])
                taken[place] = True
        if len(line) >= LETTERS:
            lines.append(_around(line))
    return lines


def _follows(last: Box, box: Box) -> bool:
    """Whether `box` is the next letter of the line: as high, level, near."""
    low, high = sorted((last.height, box.height))
    overlap = min(last.bottom, box.bottom) - max(last.top, box.top)
    return high <= 1.6 * low and overlap >= 0.6 * low and -0.2 * high <= box.left - last.right <= 1.0 * high


def _around(line: list[Box]) -> Box:
    return Box(
        min(box.top for box in line),
        max(box.bottom for box in line),
        min(box.left for box in line),
        max(box.right for box in line),
    )


def _grown(box: Box, scale: int) -> Box:
    return Box(*(scale * value for value in (box.top, box.bottom, box.left, box.right)))
