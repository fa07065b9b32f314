"""What several commands do with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lucency.recipe import Recipe, parse_recipe, read_recipe


def open_recipe(path: Path, seed: int | None, weights: str | None) -> Recipe:
    """The recipe of a file, with what the command line says instead.

    Raises:
        RecipeError: the file or what it says is wrong.
    """
    recipe = read_recipe(path)
    content: dict[str, Any] = recipe.model_dump()
    if seed is not None:
        content["seed"] = seed
    if weights is not None:
        content["model"]["weights"] = weights
    return parse_recipe(content, str(path))
