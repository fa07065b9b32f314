"""ports/ios: what can be held without a Swift compiler: that every file parses, and that it names what it must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_swift
from tree_sitter import Language, Node, Parser

from lucency.reader.input_checks import GATE_WORDS, SIGHTS
from ports.conftest import HERE, PORTS

FILES = [*PORTS.glob("ios/**/*.swift"), HERE / "main.swift"]


def errors(node: Node) -> list[str]:
    """Where a tree has what the grammar does not know."""
    if node.is_error or node.is_missing:
        return [f"line {node.start_point[0] + 1}: {node.text!r}"]
    return [error for child in node.children for error in errors(child)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_parses(file: Path) -> None:
    parser = Parser(Language(tree_sitter_swift.language()))
    assert errors(parser.parse(file.read_bytes()).root_node) == []
    assert errors(parser.parse(file.read_bytes() + b"\nfunc broken( {").root_node) != []


def test_every_doubt_has_its_words() -> None:
    text = (PORTS / "ios/Sample.swiftpm/App/ReaderView.swift").read_text(encoding="utf-8")
    words = dict(re.findall(r'^    "(\w+)": "([^"]+)",$', text, re.MULTILINE))
    assert set(words) == {"small", "shape", "blank", "colour", "costs", "several", "neither", *SIGHTS, *GATE_WORDS}
    assert {code: words[code] for code in GATE_WORDS} == GATE_WORDS
    assert {code: words[code] for code in SIGHTS} == {code: text for code, (_, text) in SIGHTS.items()}
