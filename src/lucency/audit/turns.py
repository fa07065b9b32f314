"""The sixteen ways a film can be put wrongly on the light box: turned, mirrored, inverted."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.uint8, np.float32)

AS_IS = "as it is"

TURNS: dict[str, tuple[int, bool, bool]] = {
    AS_IS: (0, False, False),
    "mirrored": (0, True, False),
    "upside down": (2, False, False),
    "upside down and mirrored": (2, True, False),
    "turned left": (1, False, False),
    "turned left and mirrored": (1, True, False),
    "turned right": (3, False, False),
    "turned right and mirrored": (3, True, False),
    "inverted": (0, False, True),
    "inverted and mirrored": (0, True, True),
    "inverted, upside down": (2, False, True),
    "inverted, upside down and mirrored": (2, True, True),
    "inverted, turned left": (1, False, True),
    "inverted, turned left and mirrored": (1, True, True),
    "inverted, turned right": (3, False, True),
    "inverted, turned right and mirrored": (3, True, True),
}
"""What was done to a film -> quarter turns counter-clockwise, then mirrored left to right, then black for white."""


def turned(films: NDArray[Number], turn: str) -> NDArray[Number]:
    """Do one of TURNS to films.

    Args:
        films: (n, side, side), 0 to 255.
        turn: a row of TURNS.

    Returns:
        The same shape and type.
    """
    quarters, mirrored, inverted = TURNS[turn]
    out = np.rot90(films, quarters, axes=(1, 2))
    out = out[:, :, ::-1] if mirrored else out
    return np.ascontiguousarray(films.dtype.type(255) - out if inverted else out)
