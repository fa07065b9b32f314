"""Bundles: a directory or .zip of model file(s), card.json and hashes, the only bridge from training to reading.

A run is the same thing with a network in PyTorch. The format is specified in docs/bundle.md.
"""

from pathlib import Path

from lucency.bundle.card import (
    SCHEMA_VERSION,
    Abstention,
    Calibration,
    Card,
    Check,
    Costs,
    Gate,
    Metric,
    Model,
    OperatingPoint,
    Parity,
    Population,
    Square,
    Training,
)
from lucency.bundle.store import Bundle, open_bundle, read_card, verify, write_bundle, write_card, write_zip

DEFAULT = Path(__file__).resolve().parent.parent / "pretrained" / "default"
"""The bundle that ships with the package."""
SHIPPED = {path.name: path for path in sorted(DEFAULT.parent.glob("*")) if (path / "card.json").is_file()}
"""The bundles that ship, by name."""

__all__ = [
    "DEFAULT",
    "SCHEMA_VERSION",
    "SHIPPED",
    "Abstention",
    "Bundle",
    "Calibration",
    "Card",
    "Check",
    "Costs",
    "Gate",
    "Metric",
    "Model",
    "OperatingPoint",
    "Parity",
    "Population",
    "Square",
    "Training",
    "open_bundle",
    "read_card",
    "verify",
    "write_bundle",
    "write_card",
    "write_zip",
]
