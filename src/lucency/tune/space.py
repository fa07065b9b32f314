"""The search space: dotted names of a recipe's settings and their candidates."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from lucency import compat
from lucency.errors import RecipeError
from lucency.recipe import Recipe, parse_recipe

SPACE: dict[str, Any] = {
    "model.dropout": [0.0, 0.2, 0.5],
    "data.imbalance": ["none", "class_weights", "oversample", "focal"],
    "data.image_size": [64, 96, 128, 160, 224],
    "finetune.unfreeze_blocks": ["all", 12, 6],
    "finetune.lr": {"low": 1e-4, "high": 1e-3, "log": True},
    "finetune.batch_norm": ["frozen", "train"],
    "finetune.ema": [0.0, 0.98],
    "finetune.label_smoothing": [0.0, 0.05],
    "augment.aspect": [[1.0, 1.0], [0.8, 1.25], [0.64, 1.57]],
    "augment.zoom": [[1.0, 1.0], [0.85, 1.0], [0.7, 1.0]],
    "augment.gamma": [[1.0, 1.0], [0.7, 1.4]],
    "augment.sharpness": [[0.0, 0.0], [-1.5, 2.0]],
    "augment.noise": [0.0, 8.0],
}
"""Searched when no file is given: setting -> a list to choose from, or low and high (log: evenly by factor)."""
RANGE = {"low", "high", "log", "step"}
"""Keys of a range."""


@dataclass(frozen=True)
class Space:
    """Settings and what they are drawn from."""

    table: Mapping[str, Any]
    alone: bool = False
    """Whether each trial changes one setting only."""

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """Setting -> value, suggested and recorded by the sampler."""
        return {name: _suggest(trial, name, choice) for name, choice in self.table.items()}

    def each(self, recipe: Recipe) -> tuple[Space, dict[str, dict[str, Any]]]:
        """One change at a time; of a range, both ends.

        Returns:
            the space, every setting a list that begins with the recipe's own value; and change -> the settings
            of its trial, as the sampler encodes them. The first trial is the recipe itself.
        """
        own = {name: _setting(recipe, name) for name in self.table}
        table: dict[str, Any] = {}
        trials = {"the recipe as it is": dict(own)}
        for name, choice in self.table.items():
            values = [
                _setting(apply_settings(recipe, {name: value}, name), name) for value in _values("space", name, choice)
            ]
            others = [value for value in values if value != own[name]]
            table[name] = [own[name], *others]
            trials |= {f"{name} {json.dumps(value)}": own | {name: value} for value in others}
        return Space(table, alone=True), {
            what: {name: json.dumps(value) for name, value in settings.items()} for what, settings in trials.items()
        }

    def to_json(self) -> str:
        """Canonical text of the space."""
        return ("one at a time: " if self.alone else "") + json.dumps(self.table, sort_keys=True)


def read_space(path: Path | None, recipe: Recipe) -> Space:
    """The space of a TOML file with a table `space`, or SPACE; every value is tried on the recipe.

    Raises:
        RecipeError: the file cannot be read, a setting is unknown, or a value is invalid.
    """
    table = SPACE if path is None else _table(path)
    where = "the built-in space" if path is None else str(path)
    for name, choice in table.items():
        for value in _values(where, name, choice):
            apply_settings(recipe, {name: value}, where)
    return Space(table)


def apply_settings(recipe: Recipe, settings: Mapping[str, Any], where: str) -> Recipe:
    """The recipe with other settings, by dotted names.

    Raises:
        RecipeError: a setting is unknown or its value out of range.
    """
    content = recipe.model_dump(mode="json")
    for name, value in settings.items():
        table = content
        *tables, last = name.split(".")
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise RecipeError(f"{where}: expected table.setting, such as model.dropout, received '{name}'")
        table[last] = value
    return parse_recipe(content, where)


def _setting(recipe: Recipe, name: str) -> Any:
    """The value of a setting, as in JSON."""
    found: Any = recipe.model_dump(mode="json")
    for part in name.split("."):
        found = found[part]
    return found


def _table(path: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{path}: expected a search space (TOML), cannot read it ({error})") from error
    table = content.get("space")
    if set(content) != {"space"} or not isinstance(table, dict) or not table:
        raise RecipeError(f'{path}: expected one table [space] with lines such as "model.dropout" = [0.0, 0.5]')
    used = {name: compat.recipe_setting(name) for name in table if compat.recipe_setting(name) != name}
    compat.report(str(path), used)
    return {compat.recipe_setting(name): choice for name, choice in table.items()}


def _values(where: str, name: str, choice: Any) -> list[Any]:
    """Every choice, or both ends of a range."""
    if isinstance(choice, list) and choice:
        return choice
    if isinstance(choice, dict) and _is_range(choice):
        return [choice["low"], choice["high"]]
    raise RecipeError(
        f"{where}: '{name}' expected a list to choose from, or numbers low <= high "
        f"(with log above 0), received {choice!r}"
    )


def _is_range(choice: Mapping[str, Any]) -> bool:
    if not {"low", "high"} <= set(choice) <= RANGE:
        return False
    low, high = choice["low"], choice["high"]
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    return numbers and low <= high and not (choice.get("log") and (low <= 0 or "step" in choice))


def _suggest(trial: optuna.Trial, name: str, choice: Any) -> Any:
    if isinstance(choice, list):  # as text: the sampler has no lists
        return json.loads(str(trial.suggest_categorical(name, [json.dumps(value) for value in choice])))
    options = {key: value for key, value in choice.items() if key in ("log", "step")}
    if isinstance(choice["low"], int) and isinstance(choice["high"], int):
        return trial.suggest_int(name, choice["low"], choice["high"], **options)
    return trial.suggest_float(name, choice["low"], choice["high"], **options)


def to_toml(content: Mapping[str, Any]) -> str:
    """A recipe's content as TOML: its plain settings first, then its tables."""
    lines = [f"{name} = {_toml(value)}" for name, value in content.items() if not isinstance(value, dict)]
    for name, table in content.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # TOML, too, for strings, numbers, booleans and lists of them
