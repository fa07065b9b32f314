"""Where on the film the network looked, and a map brought there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.errors import ExplainError
from lucency.paint.colours import LIMIT, UNSEEN, Map, levels
from lucency.preprocess import Preprocess

Window = tuple[int, int, int, int]
"""left, top, right, bottom in the film's pixels; beyond the film where it was padded."""


def window(preprocess: Preprocess, height: int, width: int) -> Window:
    """The part of a film that became the network's square.

    stretch: the whole film. crop: the square of the short side in its middle. pad: the square of the long side
    around it, so parts of the window lie off the film.
    """
    if preprocess.fit == "stretch":
        return 0, 0, width, height
    side = min(height, width) if preprocess.fit == "crop" else max(height, width)
    left, top = int((width - side) / 2), int((height - side) / 2)  # toward zero: an odd remainder is right or below
    return left, top, left + side, top + side


def placed(
    evidence: Map, preprocess: Preprocess, height: int, width: int, limit: float = LIMIT, smooth: bool = True
) -> Image.Image:
    """A map over a film of the given size, as levels (mode L); what the network did not see is level 0.

    Between the centres of its cells the map is interpolated linearly, which cannot overshoot; `smooth=False` shows
    the cells as they are.

    Raises:
        ExplainError: the map is not (h, w), is empty, or holds values that are not numbers.
    """
    if evidence.ndim != 2 or not evidence.size:
        raise ExplainError(f"a map must be (h, w) with at least one cell, got shape {evidence.shape}")
    levels(evidence, limit)  # refuses what is not a number before it is spread over the film
    left, top, right, bottom = window(preprocess, height, width)
    seen = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    cell_x, cell_y = evidence.shape[1] / (right - left), evidence.shape[0] / (bottom - top)
    box = (seen[0] - left) * cell_x, (seen[1] - top) * cell_y, (seen[2] - left) * cell_x, (seen[3] - top) * cell_y
    spread = _resized(evidence, (seen[2] - seen[0], seen[3] - seen[1]), box, smooth)
    canvas = Image.new("L", (width, height), UNSEEN)
    canvas.paste(Image.fromarray(levels(spread, limit)), (seen[0], seen[1]))
    return canvas


def _resized(
    evidence: Map, size: tuple[int, int], box: tuple[float, float, float, float], smooth: bool
) -> NDArray[np.float32]:
    """The part of a map inside `box` (cells: left, top, right, bottom), drawn `size` (width, height) pixels large."""
    image = Image.fromarray(np.ascontiguousarray(evidence, dtype=np.float32))
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(image.resize(size, method, box=box))
