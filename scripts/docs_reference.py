"""Write the generated pages, docs/reference/{cli,recipe,card}.md and the table of docs/weights.md, from the code.

python scripts/docs_reference.py            `make docs` runs it; a test holds the pages to the code
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from pydantic import BaseModel

from lucency import errors, recipe
from lucency.bundle import card
from lucency.cli import COMMANDS, app

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "<!-- Made by scripts/docs_reference.py. -->\n"


def cli_page() -> str:
    """Every command: help, usage, options, from typer; then the exit codes."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="lucency", obj=list(COMMANDS))
    parts = ["# Command line\n", MADE, "Every command has `--help`. An error is one line; its exit code is below.\n"]
    for name in COMMANDS:
        command = group.get_command(context, name)  # type: ignore[attr-defined]
        parts += command_section(command, typer.Context(command, parent=context, info_name=name), 2)
    tree = (errors.__doc__ or "").partition("\n\n")[2]
    return "\n".join([*parts, "## Errors and exit codes\n", plain(tree)]) + "\n"


def command_section(command: Any, context: Any, level: int) -> Iterator[str]:
    """A heading, the help text, the usage and a table of options; then the commands inside it."""
    yield f"{'#' * level} `{context.command_path}`\n"
    text = inspect.cleandoc(command.help or "")
    body, _, example = text.partition("Example: ")
    yield plain(body.strip()) + "\n"
    if example:
        yield f"```\n{example.strip()}\n```\n"
    inner = getattr(command, "commands", None)
    if inner:
        for name, one in inner.items():
            yield from command_section(one, typer.Context(one, parent=context, info_name=name), level + 1)
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"Usage: `{context.command_path} {usage}`\n"
    options = [option_row(one, context) for one in command.params if one.param_type_name == "option" and not one.hidden]
    yield "| option | |\n|---|---|\n" + "\n".join(options) + "\n"


def option_row(option: Any, context: Any) -> str:
    """One option: its names, what it takes, what it does."""
    names, help_text = option.get_help_record(context)
    words = re.sub(r"\[([^]]*)]", r"(\1)", help_text)  # a bracket would be read as a link
    return f"| `{names.replace('|', ' or ')}` | {cell(words)} |"


def fields_page(title: str, about: str, models: Mapping[str, type[BaseModel]], module: ModuleType) -> str:
    """A table of settings for each pydantic model, the docstring under a field as its meaning."""
    words = docstrings(module)
    parts = [f"# {title}\n", MADE, about + "\n"]
    for heading, model in models.items():
        schema = model.model_json_schema()
        defined = schema.get("$defs", {})
        parts.append(f"## {heading}\n\n{plain(inspect.cleandoc(model.__doc__ or ''))}\n")
        parts.append("| field | takes | default | meaning |\n|---|---|---|---|")
        for name, field in schema["properties"].items():
            inner = defined.get(field.get("$ref", "").rpartition("/")[2], {}).get("description", "")
            meanings = (words[kind.__name__].get(name) for kind in model.__mro__ if kind.__name__ in words)
            meaning = next(filter(None, meanings), inner.partition("\n\n")[0])
            row = (f"`{name}`", takes(field, defined), default_of(field), meaning)
            parts.append(f"| {' | '.join(map(cell, row))} |")
        parts.append("")
    return "\n".join(parts)


def default_of(field: Mapping[str, Any]) -> str:
    """The default, where it is one that can be written in a file."""
    default = field.get("default")
    return "" if default in (None, "") or isinstance(default, dict) else f"`{json.dumps(default)}`"


def takes(field: Mapping[str, Any], defined: Mapping[str, Any]) -> str:
    """What a field may hold, from its JSON Schema, in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if "properties" in defined.get(name, {}) else takes(defined[name], defined)
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(takes(one, defined) for one in field["anyOf"]))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"{len(field['prefixItems'])} × {takes(field['prefixItems'][0], defined)}"
        return f"list of {takes(field.get('items', {}), defined)}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"table of {takes(inner, defined)}" if isinstance(inner, dict) else "table"
    return " ".join(filter(None, [TYPES.get(field.get("type", ""), "anything"), bounds(field)]))


TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "nothing"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def bounds(field: Mapping[str, Any]) -> str:
    """The limits of a number."""
    return ", ".join(f"{sign} {field[name]:g}" for name, sign in BOUNDS.items() if name in field)


def docstrings(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class → field → the string below the field."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                field.target.id: str(ast.literal_eval(text.value))
                for field, text in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
            }
    return found


def recipe_page() -> str:
    """The settings of a recipe, table by table."""
    inner = {
        name: model.annotation for name, model in recipe.Recipe.model_fields.items() if _is_model(model.annotation)
    }
    models = {"Recipe": recipe.Recipe, **{f"[{name}]": model for name, model in inner.items()}}
    about = "Every choice of one training run, as TOML. An unknown setting is refused, with the nearest known one."
    page = fields_page("Recipe", about, models, recipe)  # type: ignore[arg-type]
    for name, model in inner.items():
        page = page.replace(f"[{model.__name__}](#{model.__name__.lower()})", f"[{name}](#{name})")  # type: ignore[union-attr]
    return page


def card_page() -> str:
    """The fields of card.json."""
    about = (
        "`card.json` of a bundle or run. [Bundle](../bundle.md) explains the format; "
        "[bundle.schema.json](../bundle.schema.json) is the JSON Schema."
    )
    models = {name: one for name, one in vars(card).items() if _is_model(one) and one.__module__ == card.__name__}
    order = sorted((name for name in models if models[name].model_fields), key=lambda name: name != "Card")
    return fields_page("Card", about, {name: models[name] for name in order}, card)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def weights_page() -> str:
    """docs/weights.md with its table generated from the code."""
    from lucency.models.pretrained import ORIGINS

    rows = [
        f"| `{backbone}`, width {one.width:g} | `{one.file}` | {cell(one.place)} | `{one.sha256}` |"
        for backbone, origins in ORIGINS.items()
        for one in origins
    ]
    table = "\n".join(["| backbone | file | where | SHA-256 |", "|---|---|---|---|", *rows])
    text = (DOCS / "weights.md").read_text(encoding="utf-8")
    return re.sub(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", lambda _: table + "\n", text, flags=re.S)


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return plain(" ".join(text.split())).replace("|", "\\|")


def plain(text: str) -> str:
    """Text that Markdown shows as it is: no tag, no link by accident."""
    return text.replace("<", "&lt;")


PAGES: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/recipe.md": recipe_page,
    "reference/card.md": card_page,
    "weights.md": weights_page,
}
"""Page → what it holds."""


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(DOCS / name)


if __name__ == "__main__":
    main()
