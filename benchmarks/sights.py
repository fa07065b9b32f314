"""What is taken for a slice: `python benchmarks/sights.py --mri mri --ct ct --others chest=kermany224 skin=skin`.

The share of pictures in which `has_head_slice` and `has_lung_slice` see a slice of their kind: slices of brain MRI and
of chest CT (the others' pictures for each other); films and photographs of the folders given, read in gray, at most
500 each; pages of text, noise, ramps and flat gray, drawn. A hash of its pixels puts each picture, and its copies,
into one of two halves: the limits were chosen on the first, the second judges (the form of the checks was found on
both). In brackets: 95 % intervals by picture.
With --smaller a CT slice is also set into air, as in a wide field of view.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lucency.evaluate.confidence_intervals import proportion_interval
from lucency.film import Film, open_films
from lucency.reader.input_checks import has_head_slice, has_lung_slice, is_blank

PICTURES = (".jpg", ".jpeg", ".png", ".dcm")
MOST, DRAWN, SIDE = 500, 200, 256
WORDS = ["the", "and", "of", "lungs", "chest", "no", "film", "seen", "patient", "with", "right", "lower", "size"]


def main() -> int:
    """Print a line for each kind of picture and half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", type=Path, required=True)
    parser.add_argument("--ct", type=Path, required=True)
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--smaller", type=float, nargs="*", default=[0.8, 0.65], help="share of the side")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{'':24}{'half':8}{'pictures':>9}  {'seen as a head by MRI':28}seen as a chest by CT")
    line("MRI", films(options.mri))
    slices = films(options.ct)
    line("CT", slices)
    for share in options.smaller:
        line(f"CT, {share:.0%} of the side", [in_air(film, share) for film in slices])
    for named in options.others:
        name, folder = named.split("=", 1)
        line(name, films(Path(folder), MOST))
    line("pages of text", [page(rng) for _ in range(DRAWN)])
    line("noise", [Film(rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)) for _ in range(DRAWN)])
    line("ramps", list(ramps(rng)))
    line("flat gray", [Film(np.full((SIDE, SIDE), level, np.uint8)) for level in range(0, 256, 5)])
    return 0


def films(folder: Path, most: int | None = None) -> list[Film]:
    """The pictures below a folder in gray, or `most` of them drawn at random."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and "mask" not in str(path))
    if most is not None:
        paths = [paths[i] for i in np.random.default_rng(1).permutation(len(paths))[:most]]
    return [Film(film.pixels) for _, film in open_films(paths) if isinstance(film, Film)]


def line(name: str, pictures: list[Film]) -> None:
    """Both shares in each half."""
    sides = np.array([hashlib.sha256(film.pixels.tobytes()).digest()[0] % 2 for film in pictures])
    seen = np.array([[not is_blank(film) and is_there(film) for is_there in CHECKS] for film in pictures])
    for side, words in enumerate(("first", "second")):
        chosen = seen[sides == side]
        groups, all_of = np.arange(len(chosen)), np.ones(len(chosen), dtype=np.bool_)
        shares = [(one.mean(), *proportion_interval(one, all_of, groups)) for one in chosen.T]
        told = "".join(f"{f'{share:.3f} ({low:.3f} to {high:.3f})':28}" for share, low, high in shares)
        print(f"{name:24}{words:8}{len(chosen):>9,}  {told}", flush=True)


CHECKS = (has_head_slice, has_lung_slice)


def in_air(film: Film, share: float) -> Film:
    """The slice in the middle of a field of its air, the level below which a thirtieth of it lies."""
    size = tuple(round(side / share) for side in film.shape)
    around = np.full(size, np.percentile(film.pixels, 3), film.pixels.dtype)
    top, left = ((size[0] - film.height) // 2, (size[1] - film.width) // 2)
    around[top : top + film.height, left : left + film.width] = film.pixels
    return Film(around)


def page(rng: np.random.Generator) -> Film:
    """Words in lines of a size drawn, dark on white or the reverse."""
    paper, ink = (255, 0) if rng.random() < 0.8 else (0, 255)
    picture = Image.new("L", (SIDE, int(SIDE * rng.uniform(0.7, 1.4))), paper)
    size = int(rng.integers(8, 40))
    drawing, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for top in range(8, picture.height - size, int(size * rng.uniform(1.1, 2)) + 1):
        drawing.text((8, top), " ".join(rng.choice(WORDS, 20)), fill=ink, font=font)
    return Film(np.asarray(picture))


def ramps(rng: np.random.Generator) -> Iterator[Film]:
    """Gray that rises from one side to the other, at any angle."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    for angle in rng.uniform(0, 2 * np.pi, DRAWN):
        yield Film(np.clip(128 + 180 * (y * np.sin(angle) + x * np.cos(angle)), 0, 255).astype(np.uint8))


if __name__ == "__main__":
    raise SystemExit(main())
