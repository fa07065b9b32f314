"""What every reader of films returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Film:
    """One radiograph, as faithful as its file: nothing is resized, stretched or equalised here.

    Raises:
        ValueError: `pixels` is not a non-empty 2-D array of uint8 or uint16.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """(h, w), over the full range of its type, bright = dense; read-only."""
    name: str = ""
    """What the messages to its user call it: the path it came from."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the file states; see `docs/preprocessing.md`. May identify a patient: for memory, not for logs."""

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
            raise ValueError(f"expected uint8 or uint16 pixels (h, w), came {pixels.dtype} {pixels.shape}")
        pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("=")).view()
        pixels.flags.writeable = False
        object.__setattr__(self, "pixels", pixels)

    def __repr__(self) -> str:
        # A repr ends up in logs and tracebacks, so neither name nor facts are in it.
        return f"Film({self.height}x{self.width}, {self.pixels.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, because a pickled array forgets that it is read-only.
        return Film, (self.pixels, self.name, dict(self.facts))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def gray8(self) -> NDArray[np.uint8]:
        """uint8 (h, w): 8 bits as they are; 16 bits by (v * 255 + 32767) // 65535, the nearest of 256 levels."""
        if self.pixels.dtype == np.uint8:
            return self.pixels.view(np.uint8)
        return _NEAREST_OF_256[self.pixels]


_NEAREST_OF_256: NDArray[np.uint8] = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
