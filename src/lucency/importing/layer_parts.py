"""What a layer of Keras gives and what it becomes: its settings and weights, and the parts in our layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lucency.errors import WeightsError
from lucency.importing.keras_file import Array
from lucency.importing.keras_graph import Call


@dataclass(frozen=True)
class Part:
    """One of our layers, of the one or two that a layer of Keras becomes."""

    op: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What a translation may ask for."""

    call: Call
    weights: Mapping[str, Array]
    major: int

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the layer; its default where the file leaves it out."""
        found = self.call.config.get(name)
        return default if found is None else found

    def pair(self, name: str, default: Any = (1, 1)) -> tuple[int, int]:
        """A setting of one or two whole numbers."""
        found = self.setting(name, default)
        first, second = found if isinstance(found, list | tuple) else (found, found)
        return whole(first), whole(second)

    def weight(self, name: str) -> Array:
        """One of the layer's weights.

        Raises:
            WeightsError: the file has none.
        """
        if name not in self.weights:
            raise WeightsError(f"expected the weight {name}, found none; save the whole network with model.save")
        return self.weights[name]


def whole(value: Any) -> int:
    """A whole number of at least 0. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= 1 << 20:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value
