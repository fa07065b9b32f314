"""How often text burnt into films is found, and how often a film without a line of text is refused.

    python benchmarks/burnt.py FILM… [--made 200] [--real 200]

Names, dates and numbers are drawn on the films given, with font, size, direction (level, upright, upside down, slanted,
letters below one another), spacing, contrast, sharpness, noise and place at random; three in five of them outside the
window that the film is shown with, or behind a look-up table. Found means: a line is reported where the text lies.
Then films as they are, each alarm with its place, to be looked at: a film may well hold text.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from lucency.dicom.burnt_text import find_text
from lucency.film import Film, open_film
from lucency.film.dicom import Stored
from lucency.progress import track

TEXTS = (
    *("MUELLER^ANNA", "Smith, John", "DOB 12/03/1961", "ID: 00481516", "2024-03-05 10:11", "St. Mary Hospital"),
    *("NGUYEN THI HOA", "Zoe Garcia", "Oddsson", "KIM JI-WOO"),
)
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral")
DIRECTIONS = ("0", "0", "90", "180", "270", "stacked", "slanted")
HIDDEN = ("no", "no", "above the window", "below the window", "by a look-up table")
LOW, HIGH = 1000, 3000
"""The window, of 12 bits."""


@dataclass(frozen=True)
class Made:
    """A film with text."""

    film: Film
    stored: Stored
    box: tuple[int, int, int, int]
    """Top, bottom, left, right of the text."""
    drawn: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--made", type=int, default=200)
    parser.add_argument("--real", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    order = [asked.films[index] for index in rng.permutation(len(asked.films))]
    hits: Counter[tuple[str, str]] = Counter()
    tries: Counter[tuple[str, str]] = Counter()
    for index in track(range(asked.made), "made films", total=asked.made):
        made = draw(open_film(order[index % len(order)]).gray8(), rng)
        found = any(overlap(line.box, made.box) for line in find_text(made.film, made.stored))
        if not found:
            print("missed:", json.dumps(made.drawn), flush=True)
        for key in (*made.drawn.items(), ("in all", "")):
            tries[key] += 1
            hits[key] += found
    for key in sorted(tries):
        if key[0] in ("direction", "hidden", "in all"):
            print(f"{' '.join(key)}: found {hits[key]} of {tries[key]} ({hits[key] / tries[key]:.1%})")
    alarms = 0
    for path in track(order[: asked.real], "real films", total=asked.real):
        film = open_film(path)
        gray = film.gray8()
        lines = find_text(Film(gray), Stored(gray.astype(np.uint16), 8, False))
        alarms += bool(lines)
        if lines:
            print(f"alarm: {path.name} {[line.box for line in lines]}", flush=True)
    if asked.real:
        print(f"alarms: {alarms} of {min(asked.real, len(order))} films as they are")


def overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return min(one[1], other[1]) > max(one[0], other[0]) and min(one[3], other[3]) > max(one[2], other[2])


def draw(gray: np.ndarray, rng: np.random.Generator) -> Made:
    """A film of 12 bits with one line of text."""
    ink, drawn = written(gray.shape, rng)
    height, width = ink.shape
    top, left = (int(rng.integers(0, size - part + 1)) for size, part in zip(gray.shape, ink.shape, strict=True))
    here = np.s_[top : top + height, left : left + width]
    contrast, hidden = float(np.exp(rng.uniform(np.log(20), np.log(200)))), str(rng.choice(HIDDEN))
    codes = gray * 16.0
    if hidden == "no":
        brighter = (np.median(codes[here]) < 2040) != (rng.random() < 0.3)
        ground = codes[here] if rng.random() < 0.5 else np.median(codes[here])
        letters = np.clip(ground + contrast * 16 * (1 if brighter else -1), 0, 4095)
        codes[here] += ink * (letters - codes[here])
    else:
        codes = LOW + gray * ((HIGH - LOW) / 255)
        codes[here] = (300 if hidden.startswith("below") else HIGH + 50) + ink * contrast * 4
    codes = np.clip(codes + rng.normal(0, float(rng.choice([0, 4, 16])), codes.shape), 0, 4095).astype(np.uint16)
    low, high = (0, 4095) if hidden == "no" else (LOW, HIGH)
    shown = np.clip((codes.astype(float) - low) / (high - low) * 65535, 0, 65535).astype(np.uint16)
    drawn |= {"contrast": f"{contrast:.0f}", "hidden": hidden, "film": "x".join(map(str, gray.shape))}
    return Made(Film(shown), Stored(codes, 12, False), (top, top + height, left, left + width), drawn)


def written(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, dict[str, str]]:
    """The letters, 0 … 1, and how they were drawn."""
    size = int(np.exp(rng.uniform(np.log(11), np.log(max(24, min(shape) / 16)))))
    text, family, weight = str(rng.choice(TEXTS)), str(rng.choice(FONTS)), str(rng.choice(["normal", "bold"]))
    font = ImageFont.truetype(font_manager.findfont(font_manager.FontProperties(family=family, weight=weight)), size)
    spacing, direction = float(rng.choice([0, 0, 0.1, 0.3, 0.6])), str(rng.choice(DIRECTIONS))
    page = Image.new("L", (3 * size * len(text) if direction != "stacked" else 3 * size, 2 * size * len(text)))
    pen, x, y = ImageDraw.Draw(page), float(size), float(size)
    for letter in text:
        pen.text((x, y), letter, fill=255, font=font)
        x, y = (
            (x, y + size * (1.05 + spacing / 2))
            if direction == "stacked"
            else (x + pen.textlength(letter, font=font) + size * spacing, y)
        )
    page = page.crop(page.getbbox())
    if direction != "stacked":
        turn = float(rng.uniform(-30, 30)) if direction == "slanted" else float(direction)
        page = page.rotate(turn, expand=True, resample=Image.Resampling.BICUBIC)
    shrink = min(1.0, 0.9 * shape[1] / page.width, 0.9 * shape[0] / page.height)
    page = page.resize((max(1, int(page.width * shrink)), max(1, int(page.height * shrink))))
    if rng.random() < 0.3:
        page = page.filter(ImageFilter.GaussianBlur(0.6))
    drawn = {"size": f"{size * shrink:.0f}", "text": text, "font": f"{family} {weight}", "direction": direction}
    return np.asarray(page) / 255, {**drawn, "spacing": str(spacing)}


if __name__ == "__main__":
    main()
