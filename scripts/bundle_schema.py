"""The card's JSON Schema: `python scripts/bundle_schema.py > docs/bundle.schema.json`."""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any

from lucency.bundle import card


def card_schema() -> str:
    """The JSON Schema (draft 2020-12) of card.json, as published in docs/bundle.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **card.Card.model_json_schema()}
    words = _docstrings()
    _describe(schema, words["Card"])
    for name, part in schema["$defs"].items():
        _describe(part, words[name])
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(schema: dict[str, Any], words: dict[str, str]) -> None:
    """Give each property the docstring under its field; done here, not by pydantic, so that reading starts fast."""
    for field, text in words.items():
        schema["properties"][field]["description"] = text


def _docstrings() -> dict[str, dict[str, str]]:
    """Class -> field -> the string that follows the field."""
    classes = [node for node in ast.parse(inspect.getsource(card)).body if isinstance(node, ast.ClassDef)]
    return {node.name: _field_docstrings(node) for node in classes}


def _field_docstrings(node: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: str(ast.literal_eval(text.value))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
    }


if __name__ == "__main__":
    print(card_schema(), end="")
