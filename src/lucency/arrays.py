"""Names for the arrays that modules pass to each other. Shapes are in the docstring of each function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Gray films as a network takes them, bright = dense."""
Gray = NDArray[np.uint8] | NDArray[np.uint16]
"""A film as it was decoded, 8 or 16 bits."""
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
