"""The card's JSON Schema, with the words that stand beside the fields in the source."""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any

from lucency.bundle import card


def card_schema() -> str:
    """The JSON Schema (draft 2020-12) of card.json, as published in docs/bundle.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **card.Card.model_json_schema()}
    _describe(schema, "Card")
    for name, part in schema["$defs"].items():
        _describe(part, name)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(schema: dict[str, Any], name: str) -> None:
    """Give each property the docstring under its field; done here, not by pydantic, to keep the reader's start fast."""
    words = _docstrings()[name]
    for field, text in words.items():
        schema["properties"][field]["description"] = text


def _docstrings() -> dict[str, dict[str, str]]:
    """Class -> field -> the string that follows the field."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(card)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {}
            for field, text in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                ):
                    found[node.name][field.target.id] = str(ast.literal_eval(text.value))
    return found


if __name__ == "__main__":
    print(card_schema(), end="")
