"""Preprocessing of a film for a network, specified to the bit in `docs/preprocessing.md`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from lucency.compat import rename_preprocess
from lucency.errors import BundleError, UsageError
from lucency.film import Film

ResizeMode = Literal["stretch", "crop", "pad"]
"""How a film becomes square: stretched, its centre cropped, or padded with black."""

RESIZE_MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)
VERSIONS = {1: 1, 3: 2}
"""Channels → version of what a card states: colour came with the second."""
FILTER = "bilinear-antialiased"
MAX_IMAGE_SIZE = 4096
CACHED = 1 << 18
"""Pixels resized at a time, 2 MB in float64."""
BLOCKS = (7, 8)
"""Output pixels per matrix product: enough for BLAS, few enough that most weights are not zero."""
_KEPT = threading.local()
_Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Preprocess:
    """Film to the square of bytes that a network takes.

    Raises:
        UsageError: an image size, resize mode or number of channels out of range.
    """

    image_size: int = 224
    """Pixels along a side of the square."""
    resize_mode: ResizeMode = "stretch"
    """"stretch" keeps the whole film and loses its aspect ratio; "crop" and "pad" keep the aspect ratio."""
    channels: int = 1
    """1: gray. 3: red, green, blue."""

    def __post_init__(self) -> None:
        if type(self.image_size) is not int or not 1 <= self.image_size <= MAX_IMAGE_SIZE:
            raise UsageError(
                f"preprocess: expected an image_size of 1 to {MAX_IMAGE_SIZE} pixels, received {self.image_size!r}"
            )
        if self.resize_mode not in RESIZE_MODES:
            modes = ", ".join(RESIZE_MODES)
            raise UsageError(f"preprocess: expected resize_mode to be one of {modes}, received {self.resize_mode!r}")
        if self.channels not in VERSIONS:
            raise UsageError(f"preprocess: expected 1 or 3 channels, came {self.channels!r}")

    def __call__(self, film: Film) -> NDArray[np.uint8]:
        """uint8 (image_size, image_size), bright = dense; in colour (image_size, image_size, 3).

        The network takes these bytes as float32 0 … 255.
        """
        if self.channels == 1:
            return resize(crop_or_pad(film.gray8(), self.resize_mode), self.image_size)
        planes = np.moveaxis(film.rgb8(), 2, 0)
        return np.stack([resize(crop_or_pad(plane, self.resize_mode), self.image_size) for plane in planes], axis=2)

    def to_json(self) -> dict[str, Any]:
        """The table `preprocess` of a bundle's card."""
        stated = {"version": VERSIONS[self.channels], **asdict(self), "filter": FILTER}
        return {key: value for key, value in stated.items() if (key, value) != ("channels", 1)}

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> Preprocess:
        """The preprocessing of a card, also by the names of earlier versions.

        Raises:
            BundleError: another version or filter, an unknown or missing key, a value out of range.
        """
        stated = rename_preprocess(stated)
        channels = stated.get("channels", 1)
        for key, value in {"version": VERSIONS.get(channels), "filter": FILTER}.items():
            if stated.get(key) != value:
                raise BundleError(
                    f"preprocess: expected {key} {value!r}, received {stated.get(key)!r}; try a newer lucency"
                )
        keys = ("version", "image_size", "resize_mode", *["channels"] * (channels != 1), "filter")
        if set(stated) != set(keys):
            raise BundleError(f"preprocess: expected {', '.join(keys)}, received {', '.join(map(str, stated))}")
        try:
            return cls(stated["image_size"], stated["resize_mode"], channels)
        except UsageError as error:
            raise BundleError(str(error)) from None


def as_input(squares: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Squares uint8 (n, s, s), or (n, s, s, 3) in colour, as networks take them: float32 (n, s, s, channels)."""
    return squares.reshape(*squares.shape[:3], -1).astype(np.float32)


def crop_or_pad(gray: NDArray[np.uint8], mode: ResizeMode) -> NDArray[np.uint8]:
    """The part of a film, or the square around it, that is then resized.

    Args:
        gray: (h, w).
        mode: "stretch": (h, w) as it is. "crop": the centred square of the short side.
            "pad": the film centred on a black square of the long side. An odd remainder goes to the right and bottom.
    """
    height, width = gray.shape
    if mode == "stretch" or height == width:
        return gray
    if mode == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return gray[top : top + side, left : left + side]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), dtype=np.uint8)
    square[top : top + height, left : left + width] = gray
    return square


def resize(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """uint8 (h, w) to (side, side), antialiased, bilinear: along the rows first, then along the columns.

    The bytes are those of Pillow's `BILINEAR`, one call for each direction, in half its time.
    """
    narrow = _resize_rows(gray, side)
    return np.array(_resize_rows(narrow.T, side).T, order="C")


def _resize_rows(lines: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Every row to `side` pixels: uint8 (n, k) to (n, side). Some rows at a time stay in the cache."""
    if lines.shape[1] == side:
        return lines  # every weight is 1
    windows = _windows(lines.shape[1], side)
    out = np.empty((len(lines), side), dtype=np.uint8)
    step = max(1, CACHED // windows.width)
    for top in range(0, len(lines), step):
        # The cast truncates: no sum is negative, none reaches 256.
        out[top : top + step] = _sums(lines[top : top + step], windows)[:, :side]
    return out


def _sums(lines: NDArray[np.uint8], windows: _Windows) -> NDArray[np.float64]:
    """Every row's weighted sums and a half: uint8 (n, k) to float64 (n, groups · block), the first `side` of use.

    By matrix products in float64, which here are exact and so the same on any machine in any order: weights are whole
    multiples of 2⁻²², so every sum is a whole number of them, below 2³¹, and float64 is exact up to 2⁵³. Adding a half
    and truncating equals `(sum + 2²¹) >> 22` in integers. One call makes the products of all groups: separate calls
    would each cost as much as their product, and hold Python's lock.
    """
    count, given = lines.shape
    groups, taken, block = windows.weights.shape
    order: Literal["C", "F"] = "C" if lines.flags.c_contiguous else "F"
    some = _scratch("some", count * windows.width).reshape((count, windows.width), order=order)
    inside = slice(windows.left, windows.left + given)
    some[:, : inside.start] = some[:, inside.stop :] = 0
    some[:, inside] = lines
    row, pixel = some.strides
    views = as_strided(some, (groups, count, taken), (windows.step * pixel, row, pixel), writeable=False)
    sums = _scratch("sums", count * groups * block).reshape(count, groups, block)
    np.matmul(views, windows.weights, out=sums.transpose(1, 0, 2))
    sums += 0.5
    return sums.reshape(count, groups * block)


def _scratch(name: str, size: int) -> NDArray[np.float64]:
    """A buffer of `size` numbers, kept by this thread: a new one's page faults cost as much as the products."""
    kept: NDArray[np.float64] | None = getattr(_KEPT, name, None)
    if kept is None or kept.size < size:
        kept = np.empty(size)
        setattr(_KEPT, name, kept)
    return kept[:size]


@dataclass(frozen=True)
class _Windows:
    """Groups of neighbouring output pixels: windows of input pixels at equal steps, and their weights."""

    left: int
    """Columns of zeros before a row, so that the first window begins at column 0."""
    width: int
    """Of a row with zeros on both sides, so that the last window ends inside."""
    step: int
    """From one window to the next, in pixels."""
    weights: NDArray[np.float64]
    """(groups, pixels of a window, outputs of a group), zero where an output does not take a pixel."""


@lru_cache(maxsize=8)
def _windows(given: int, side: int) -> _Windows:
    """Section 4.1 of docs/preprocessing.md, in groups of that size of BLOCKS which needs fewer products.

    The sum goes from the first weight to the last, as the last bit depends on it.
    """
    scale = given / side
    reach = max(scale, 1.0)
    center = (np.arange(side) + 0.5) * scale
    first = np.maximum((center - reach + 0.5).astype(int), 0)
    last = np.minimum((center + reach + 0.5).astype(int), given)
    at = first[:, None] + np.arange((last - first).max())
    raw = np.maximum(1.0 - np.abs((at - center[:, None] + 0.5) * (1.0 / reach)), 0.0)
    raw[at >= last[:, None]] = 0.0
    share = np.floor(0.5 + raw / np.cumsum(raw, axis=1)[:, -1:] * 2.0**22) / 2.0**22
    return min(
        (_grouped(first, last, at, share, scale, block) for block in BLOCKS), key=lambda found: found.weights.size
    )


def _grouped(first: _Whole, last: _Whole, at: _Whole, share: NDArray[np.float64], scale: float, block: int) -> _Windows:
    """Windows of `block` outputs, for outputs that take the pixels `first` to `last`: (side,), by `share` (side, m)."""
    out = np.arange(len(share))
    step, group = round(block * scale), out // block
    left = int((group * step - first).max())
    taken = int((last - group * step).max()) + left
    weights = np.zeros((group[-1] + 1, taken + share.shape[1], block))
    weights[group[:, None], at - (group * step - left)[:, None], (out % block)[:, None]] = share
    width = left + max(int(last.max()), int(group[-1]) * step - left + taken)
    return _Windows(left, width, step, np.ascontiguousarray(weights[:, :taken]))
