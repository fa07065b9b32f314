"""Names in files of earlier versions, read for one version more: the only place that knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREPROCESS = {"side": "image_size", "fit": "resize_mode"}
"""Old to new setting of a card's preprocessing."""


def rename_preprocess(content: Mapping[str, Any]) -> dict[str, Any]:
    """A card's preprocessing with today's names. Silent: a card is written by a program and hashed."""
    names = {old: new for old, new in PREPROCESS.items() if new not in content}
    return {names.get(name, name): value for name, value in content.items()}
