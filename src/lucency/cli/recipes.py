"""`lucency recipes`: the recipes that ship."""

from __future__ import annotations

from typing import Annotated

import typer

from lucency.cli.inputs import Json, print_json
from lucency.cli.terminal import echo


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one, header and all.", metavar="NAME")] = None,
    json: Json = False,
) -> None:
    """List the recipes that ship, with what they gave where that is published; or print one.

    Any of them can be named where a recipe is expected. A recipe of your own may begin with extends = "lecture" and
    state only what differs.

    Example: lucency recipes lecture > mine.toml
    """
    from lucency.recipe import RECIPES, describe_recipe, recipe_names

    if name is not None:
        describe_recipe(name)
        echo((RECIPES / f"{name}.toml").read_text(encoding="utf-8").rstrip())
        return
    for one in recipe_names():
        trains, gave = describe_recipe(one)
        if json:
            print_json({"name": one, "trains": trains, "gave": gave or None})
        else:
            echo(f"{one:10}{trains}" + (f"\n{'':10}gave {gave}" if gave else ""))
