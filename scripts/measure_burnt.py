"""How often the detector of burnt-in text finds planted text, and how often it cries wolf.

    python scripts/measure_burnt.py FILM…

Lines of letters, figures and dates are drawn on the films given (which must be free of text lines, but for side
markers): font, size, brightness and place at random, with and without a box behind. Prints shares with counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lucency.dicom.burnt_text import text_lines
from lucency.film import open_film
from lucency.progress import track

WORDS = ("MUELLER^ANNA", "Smith, John", "DOB 12/03/1961", "ID: 00481516", "2024-03-05 10:11", "St. Mary Hospital")
SIZES = (10, 14, 20, 32, 48, 80)
"""Height of the font, pixels."""
MARGIN = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    rng = np.random.default_rng(0)
    alarms, found, seconds = 0, Counter[tuple[str, object]](), []
    films = parser.parse_args().films
    for path in track(films, "measuring", total=len(films)):
        gray = open_film(path).gray8()
        start = time.perf_counter()
        if text_lines(gray):
            alarms += 1
            print(f"alarm without text: {path.name}", file=sys.stderr)
        seconds.append(time.perf_counter() - start)
        for size in SIZES:
            look = str(rng.choice(["white", "black", "gray 200", "white in a black box"]))
            hit = bool(text_lines(planted(gray, size, look, rng)))
            found[("height", size, hit)] += 1  # type: ignore[index]
            found[("look", look, hit)] += 1  # type: ignore[index]
    print(f"{alarms} of {len(films)} films without planted text: alarm; {np.median(seconds):.2f} s a film (median)")
    for kind, value in sorted({key[:2] for key in found}, key=str):
        hits, misses = found[(kind, value, True)], found[(kind, value, False)]  # type: ignore[index]
        print(f"{kind} {value}: found in {hits} of {hits + misses}")


def planted(gray: np.ndarray, size: int, look: str, rng: np.random.Generator) -> np.ndarray:
    """The film with one line of text in it."""
    picture = Image.fromarray(gray)
    pen, font, words = ImageDraw.Draw(picture), ImageFont.load_default(size), str(rng.choice(WORDS))
    width, height = int(pen.textlength(words, font=font)), size
    x = int(rng.integers(MARGIN, max(MARGIN + 1, picture.width - width - MARGIN)))
    y = int(rng.integers(MARGIN, max(MARGIN + 1, picture.height - 2 * height - MARGIN)))
    if "box" in look:
        pen.rectangle((x - 4, y - 4, x + width + 4, y + height + 8), fill=0)
    pen.text((x, y), words, font=font, fill={"black": 0, "gray 200": 200}.get(look, 255))
    return np.asarray(picture)


if __name__ == "__main__":
    main()
