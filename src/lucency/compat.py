"""Names in files of earlier versions, read for one version more: the only place that knows them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

PREPROCESS = {"side": "image_size", "fit": "resize_mode"}
"""Old to new setting of a card's preprocessing."""
RECIPE = {
    "tune": "finetune",
    "data.side": "data.image_size",
    "data.fit": "data.resize_mode",
    "finetune.blocks": "finetune.unfreeze_blocks",
}
"""Old to new table or setting of a recipe; tables come first."""
RECIPE_REMOVED: dict[str, tuple[Any, ...]] = {
    "finetune.adversary": (0,),
    "augment.aspect_of_class": ([], ()),
    "augment.swap_tone": (0,),
    "augment.reacquire": (0,),
    "augment.resample": ([1, 1], (1, 1)),
    "augment.clahe": (0,),
    "augment.erase": (0,),
    "data.misled": (1,),
    "data.group_step": (0.01,),
    "finetune.swa": (0,),
    "finetune.wise_ft": (1,),
    "finetune.teachers": (0,),
}
"""Settings that are gone, and the values at which they did nothing."""
REMOVED_VALUES = {"data.imbalance": ("group_dro",)}
"""Values that are gone."""
OLD_MANIFEST = "plan.json"
MANIFEST = {"learn": "train", "judge": "val", "processes": "world_size"}
"""The old name of a run's manifest.json; and old to new fields."""


def rename_preprocess(content: Mapping[str, Any]) -> dict[str, Any]:
    """A card's preprocessing with today's names. Silent: a card is written by a program and hashed."""
    names = {old: new for old, new in PREPROCESS.items() if new not in content}
    return {names.get(name, name): value for name, value in content.items()}


def rename_model(content: Mapping[str, Any]) -> dict[str, Any]:
    """A card's network with today's names: what it crops is the lungs, or, in older exported files, its own affair."""
    found = {name: value for name, value in content.items() if name not in ("frame", "within")}
    return found | (
        {"lung_crop": content["frame"]} if content.get("frame") and content.get("within") != "middle" else {}
    )


def report(where: str, used: Mapping[str, str]) -> None:
    """Name the new names of the old ones that a file uses, in one line on stderr."""
    if used:
        changes = ", ".join(f"'{old}' is now '{new}'" for old, new in used.items())
        print(f"{where}: {changes}; the next version reads the new name only", file=sys.stderr)


def recipe_setting(name: str) -> str:
    """The dotted name of a setting today."""
    for old, new in RECIPE.items():
        if name == old or name.startswith(f"{old}."):
            name = new + name.removeprefix(old)
    return name


def rename_recipe(content: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """A recipe with today's names; what the file at `where` should say instead goes to stderr."""
    found: dict[str, Any] = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    used = {}
    for old, new in RECIPE.items():
        *table, name = old.split(".")
        place = found.get(table[0]) if table else found
        if isinstance(place, dict) and name in place:
            value, target = place.pop(name), new.split(".")[-1]
            place[target] = {**place.get(target, {}), **value} if isinstance(value, dict) else value
            used[old] = new
    if where:
        report(where, used)
    return found


def card_data(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The table `data` of a recipe that trained a card's network, without what is gone, whatever it did."""
    return {
        name: value
        for name, value in rename_recipe(recipe).get("data", {}).items()
        if f"data.{name}" not in RECIPE_REMOVED and value not in REMOVED_VALUES.get(f"data.{name}", ())
    }


def drop_removed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe without removed settings at values at which they did nothing."""
    found = {name: dict(part) if isinstance(part, dict) else part for name, part in content.items()}
    for dotted, neutral in RECIPE_REMOVED.items():
        table, name = dotted.split(".")
        place = found.get(table)
        if isinstance(place, dict) and name in place and place[name] in neutral:
            del place[name]
    return found


WEIGHTS = {"frame.": "crop.", "crop.finder.": "crop.segmenter."}
"""Old to new start of a weight's name, one after the other."""


def rename_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """A run's weights with today's names."""
    renamed = {}
    for name, value in state.items():
        for old, new in WEIGHTS.items():
            name = new + name.removeprefix(old) if name.startswith(old) else name
        renamed[name] = value
    return renamed
