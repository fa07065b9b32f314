"""Text over stripes and pictures, which axe leaves to a person: every pair of colours that meet, by WCAG 2.2, 1.4.3."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lucency.web

STYLE = (Path(lucency.web.__file__).parent / "page/style.css").read_text(encoding="utf-8")
DARK, LIGHT = (dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S))
SURFACES = ("room", "wall", "desk", "picked", "hover")
VERDICTS = ("finding", "clear", "uncertain", "unread")
ZONES = ("zone-finding", "zone-clear", "zone-uncertain", "zone-uncertain-2")
PAIRS = [(text, on) for text in ("ink", "faint", "accent", "warn", *VERDICTS) for on in SURFACES]
PAIRS += [("ink", zone) for zone in ZONES] + [("main-ink", "main"), ("strong", "pressed")]


def luminance(colour: str) -> float:
    """Of #rgb or #rrggbb (WCAG 2.2, relative luminance)."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [DARK, LIGHT], ids=["dark", "light"])
def test_every_text_has_the_contrast_of_level_aa(colours: dict[str, str]) -> None:
    found = {pair: contrast(*(colours[name] for name in pair)) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}
