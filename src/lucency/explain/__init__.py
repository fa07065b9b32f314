"""Ten explainers of a network's output, and tests of how faithful their maps are.

`lucency.explain.table.EXPLAINERS` lists the explainers; they need lucency[train]. `lucency.explain.occlusion` explains
any reader without PyTorch, and `lucency.explain.faithfulness` measures maps against the film, the lesion and the lungs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lucency.arrays import Floats32, Pixels
from lucency.paint import LIMIT

if TYPE_CHECKING:
    from lucency.models.classifier import Classifier


@dataclass(frozen=True)
class BoundExplainer:
    """An explainer bound to one reader."""

    method: str
    explain: Callable[[Pixels, int], Floats32]
    """(a film's square uint8 (s, s), which finding) → map float32 (h, w)."""
    unit: str = "logits"
    limit: float = LIMIT
    """Where the colour scale ends, in `unit`."""
    mark: str = ""
    """A warning to show with every map of this method."""
    on: Callable[[Classifier, Pixels, int], Floats32] | None = None
    """The same explainer on any network; None for an exported bundle."""


__all__ = ["BoundExplainer"]
