"""The code that docs/mobile.md shows is that of ports/."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"From `(ports/[^`]+)`:\n\n```\w+\n(.*?)```\n", re.DOTALL)


def test_every_block_is_in_its_file() -> None:
    blocks = SHOWN.findall((ROOT / "docs/mobile.md").read_text(encoding="utf-8"))
    assert [file for file, _ in blocks] == [
        "ports/kotlin/Lucency.kt",
        "ports/swift/Lucency.swift",
        "ports/kotlin/LucencyReader.kt",
        "ports/swift/LucencyReader.swift",
    ]
    for file, code in blocks:
        assert code in (ROOT / file).read_text(encoding="utf-8"), f"{file} has changed; show it again in docs/mobile.md"
        assert len(code.splitlines()) > 20
