"""Write preprocessing.json: small films and the squares that Pillow makes of them.

    python tests/golden/make_preprocessing.py

Uses Pillow alone, nothing of lucency: cutting and padding with Image.crop and Image.paste, resizing with
Image.resize. Only the step from 16 to 8 bits, which Pillow does not have, is worked out here in Python's integers.
The file is what a port in another language checks itself against; `docs/preprocessing.md` describes it.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image, __version__

FITS = ("stretch", "crop", "pad")


def film(kind: str, width: int, height: int, bits: int = 8) -> list[list[int]]:
    """Rows of a test film: random, a slope, a chequerboard, or its darkest and brightest values only."""
    top = 2**bits - 1
    draw = random.Random(f"{kind} {width} {height} {bits}")
    shades = {
        kind: lambda x, y: draw.randint(0, top),
        "random": lambda x, y: draw.randint(0, top),
        "slope": lambda x, y: (x * 7 + y * 13) * top // (7 * width + 13 * height),
        "board": lambda x, y: top * ((x + y) % 2),
        "edge": lambda x, y: top if x > y else 0,
    }
    return [[shades[kind](x, y) for x in range(width)] for y in range(height)]


FILMS = {
    "much smaller": film("random", 61, 47),
    "smaller, wide": film("random", 33, 12),
    "smaller, tall": film("slope", 12, 35),
    "larger": film("random", 5, 4),
    "same size": film("random", 16, 16),
    "same width": film("random", 16, 29),
    "same height": film("random", 27, 16),
    "one more than half": film("board", 17, 9),
    "flat rows, tall": film("random", 6, 61),
    "one row": film("random", 20, 1),
    "one column": film("random", 1, 20),
    "one pixel": [[77]],
    "edge": film("edge", 40, 31),
    "16 bits": film("random", 23, 18, bits=16),
    "16 bits, slope": film("slope", 30, 11, bits=16),
}

COLOUR = {"smaller": (33, 12), "larger": (5, 4), "tall": (12, 35), "one pixel": (1, 1)}
"""Pictures in colour: name → width and height; each channel is a random film of its own."""

SIDES = (1, 7, 16)


def of_rows(rows: list[list[int]]) -> Image.Image:
    """A gray picture of rows of bytes."""
    image = Image.new("L", (len(rows[0]), len(rows)))
    image.putdata([value for row in rows for value in row])
    return image


def square(image: Image.Image, side: int, fit: str) -> Image.Image:
    """What preprocessing has to make of a film, gray or in colour, by Pillow."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if fit == "crop":
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short))
    if fit == "pad":
        black = Image.new(image.mode, (long, long))
        black.paste(image, ((long - width) // 2, (long - height) // 2))
        image = black
    # One direction a call: which of two Pillow would take first depends on its version and the shape.
    narrow = image.resize((side, image.height), Image.Resampling.BILINEAR)
    return narrow.resize((side, side), Image.Resampling.BILINEAR)


def vector(name: str, rows: list[list[int]]) -> dict[str, object]:
    """One film with its answers, bytes as hexadecimal digits."""
    bits = 16 if name.startswith("16 bits") else 8
    digits = bits // 4
    gray = [[(value * 255 + 32767) // 65535 for value in row] for row in rows] if bits == 16 else rows
    squares = [
        {"side": side, "fit": fit, "bytes": square(of_rows(gray), side, fit).tobytes().hex()}
        for side in SIDES
        for fit in FITS
    ]
    pixels = "".join(f"{value:0{digits}x}" for row in rows for value in row)
    return {
        "name": name,
        "bits": bits,
        "width": len(rows[0]),
        "height": len(rows),
        "pixels": pixels,
        "squares": squares,
    }


def colour_vector(name: str, width: int, height: int) -> dict[str, object]:
    """One picture in colour with its answers; red, green, blue of a pixel follow one another."""
    channels = [of_rows(film(f"random {channel}", width, height)) for channel in ("red", "green", "blue")]
    image = Image.merge("RGB", channels)
    squares = [
        {"side": side, "fit": fit, "bytes": square(image, side, fit).tobytes().hex()} for side in SIDES for fit in FITS
    ]
    return {"name": name, "width": width, "height": height, "pixels": image.tobytes().hex(), "squares": squares}


if __name__ == "__main__":
    vectors = [vector(name, rows) for name, rows in FILMS.items()]
    content = {"version": 1, "filter": "bilinear-antialiased", "made_by": f"Pillow {__version__}", "films": vectors}
    content["colour"] = [colour_vector(name, *size) for name, size in COLOUR.items()]
    Path(__file__).with_name("preprocessing.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
