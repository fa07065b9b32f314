"""The published JSON Schema is that of the code, with every field described."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from lucency.bundle import Card

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
card_schema = runpy.run_path(str(ROOT / "scripts" / "bundle_schema.py"))["card_schema"]


def test_the_published_schema_matches_the_code() -> None:
    assert (DOCS / "bundle.schema.json").read_text(encoding="utf-8") == card_schema(), (
        "regenerate it: python scripts/bundle_schema.py > docs/bundle.schema.json"
    )


def test_the_schema_forbids_unknown_fields() -> None:
    schema = json.loads(card_schema())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())


def test_bundle_md_names_every_field() -> None:
    page = (DOCS / "bundle.md").read_text(encoding="utf-8")
    schema = json.loads(card_schema())
    tables: list[dict[str, Any]] = [schema, *schema["$defs"].values()]
    missing = {name for table in tables for name in table["properties"] if f"`{name}`" not in page}
    assert not missing
    assert set(Card.model_fields) <= set(schema["properties"])
