"""The one road from a film to a network, specified to the bit in `docs/preprocessing.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.errors import BundleError, UsageError
from lucency.film import Film

Fit = Literal["stretch", "crop", "pad"]
"""How a film meets the square: stretched to it, its centre cut out, or laid whole on black."""

FITS: tuple[Fit, ...] = get_args(Fit)
VERSION = 1
FILTER = "bilinear-antialiased"
MAX_SIDE = 4096


@dataclass(frozen=True)
class Preprocess:
    """Film to the square of bytes that a network takes.

    Raises:
        UsageError: a side or fit out of range.
    """

    side: int = 224
    """Of the square, in pixels."""
    fit: Fit = "stretch"
    """"stretch" keeps the whole film and loses its aspect ratio; "crop" and "pad" keep the aspect ratio."""

    def __post_init__(self) -> None:
        if type(self.side) is not int or not 1 <= self.side <= MAX_SIDE:
            raise UsageError(f"preprocess: expected a side of 1 to {MAX_SIDE} pixels, came {self.side!r}")
        if self.fit not in FITS:
            raise UsageError(f"preprocess: expected fit to be one of {', '.join(FITS)}, came {self.fit!r}")

    def __call__(self, film: Film) -> NDArray[np.uint8]:
        """uint8 (side, side), bright = dense. The network takes these bytes as float32 0 … 255."""
        return resized(fitted(film.gray8(), self.fit), self.side)

    def to_json(self) -> dict[str, Any]:
        """What the card of a bundle says of its preprocessing."""
        return {"version": VERSION, "side": self.side, "fit": self.fit, "filter": FILTER}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> Preprocess:
        """The preprocessing that a card states.

        Raises:
            BundleError: another version or filter, an unknown or missing key, a value out of range.
        """
        expected = {"version": VERSION, "filter": FILTER}
        for key, value in expected.items():
            if stated.get(key) != value:
                raise BundleError(
                    f"preprocess: expected {key} {value!r}, came {stated.get(key)!r}; a newer lucency may know it"
                )
        if set(stated) != {"version", "side", "fit", "filter"}:
            raise BundleError(f"preprocess: expected version, side, fit and filter, came {', '.join(map(str, stated))}")
        try:
            return cls(stated["side"], stated["fit"])
        except UsageError as error:
            raise BundleError(str(error)) from None


def fitted(gray: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """The part of a film, or the square around it, that is then resized.

    Args:
        gray: (h, w).
        fit: "stretch": (h, w) as it is. "crop": the centred square of the short side.
            "pad": the film centred on a black square of the long side. An odd remainder goes to the right and bottom.
    """
    height, width = gray.shape
    if fit == "stretch" or height == width:
        return gray
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return gray[top : top + side, left : left + side]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), dtype=np.uint8)
    square[top : top + height, left : left + width] = gray
    return square


def resized(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """uint8 (h, w) to (side, side), antialiased, bilinear: along the rows first, then along the columns.

    One call for each direction, because which one Pillow takes first depends on its version and the shape
    (from 13 on, columns first where the height shrinks much more), and the bytes between them are rounded.
    """
    narrow = Image.fromarray(gray).resize((side, gray.shape[0]), Image.Resampling.BILINEAR)
    return np.array(narrow.resize((side, side), Image.Resampling.BILINEAR))
