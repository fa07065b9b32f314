"""How far each reason to doubt a reading can be trusted. `python benchmarks/doubts.py FILM… [--others PICTURE…]`.

Reads frontal chest films as they are and altered: turned, mirrored, upside down, inverted, cut to a part of the chest,
reduced to a tenth of their gray levels. A reason is right if the film was altered in a way that it names. Prints, for
each reason, its share of the films as they are and of those it should find, and its precision where one film in ten is
altered in such a way. Prints how often no probability is given at all, of these films, of drawn noise, and of other
pictures (in gray, so that their colour does not give them away).
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.film import Film, open_film
from lucency.progress import track
from lucency.reader import Reader

Gray = NDArray[np.uint8]
ALTERED: dict[str, Callable[[Gray], Gray]] = {
    "as they are": lambda gray: gray,
    "upside down": lambda gray: gray[::-1, ::-1],
    "mirrored": lambda gray: gray[:, ::-1],
    "turned": lambda gray: np.rot90(gray),
    "inverted": lambda gray: 255 - gray,
    "a third of it": lambda gray: gray[:, : gray.shape[1] // 3],
    "lower half": lambda gray: gray[gray.shape[0] // 2 :],
    "a tenth of its levels": lambda gray: 110 + gray // 10,
}
RIGHT = {
    "layout": {"upside down", "turned", "inverted"},
    "unlike": {"a third of it", "lower half"},
    "upside_down": {"upside down"},
    "mirrored": {"mirrored", "upside down"},
    "lungs_missing": {"a third of it", "lower half", "turned", "upside down", "inverted"},
    "lungs_cut": {"a third of it", "lower half"},
    "lungs_flat": {"a tenth of its levels"},
    "shape": {"a third of it", "lower half"},
    "levels": {"a tenth of its levels"},
}
"""The code of a reason → of which films it is right."""
SHARE = 0.1
"""Of films altered in one of these ways."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--others", nargs="*", type=Path, default=[], help="pictures that are no chest films")
    parser.add_argument("--bundle", type=Path)
    asked = parser.parse_args()
    reader = Reader.open(asked.bundle)
    said: dict[str, Counter[str]] = defaultdict(Counter)
    withheld: Counter[str] = Counter()
    for path in track(asked.films, "reading", total=len(asked.films)):
        gray = open_film(path).gray8()
        for way, alter in ALTERED.items():
            reading = reader.read(Film(np.ascontiguousarray(alter(gray)), path.name))
            withheld[way] += bool(reading.withheld)
            for reason in RIGHT:
                said[reason][way] += reason in reading.doubts
    print(f"{len(asked.films)} films by {reader.card.name}")
    for reason, right in RIGHT.items():
        shares = {way: said[reason][way] / len(asked.films) for way in ALTERED}
        hit, alarm = sum(shares[way] for way in right) / len(right), shares["as they are"]
        found = SHARE * hit
        precision = found / max(found + (1 - SHARE) * alarm, 1e-9)
        ways = ", ".join(f"{way} {share:.1%}" for way, share in shares.items() if share >= 0.005)
        print(f"{reason}: precision {precision:.2f} (as they are {alarm:.1%}, where right {hit:.1%}; {ways})")
    print("no probability: " + ", ".join(f"{way} {count / len(asked.films):.1%}" for way, count in withheld.items()))
    alarm = withheld["as they are"] / len(asked.films)
    others = [open_film(path).gray8() for path in asked.others]
    for name, pictures in {"noise": noise(), "other pictures": others}.items():
        if pictures:
            hit = sum(bool(reader.read(Film(gray)).withheld) for gray in pictures) / len(pictures)
            precision = SHARE * hit / max(SHARE * hit + (1 - SHARE) * alarm, 1e-9)
            print(f"no probability: {hit:.1%} of {len(pictures)} {name}, precision {precision:.2f}")


def noise() -> list[Gray]:
    """Forty pictures of each of white, normal and sparse noise, and of noise of 8 and 30 cells a side, smoothed."""
    rng = np.random.default_rng(0)
    found: list[Gray] = []
    for _ in range(40):
        shape = (int(rng.integers(100, 600)), int(rng.integers(100, 600)))
        found.append(rng.integers(0, 256, shape).astype(np.uint8))
        found.append(np.clip(rng.normal(128, 40, shape), 0, 255).astype(np.uint8))
        found.append((rng.random(shape) < rng.uniform(0.05, 0.5)).astype(np.uint8) * 255)
        for cells in (8, 30):
            drawn = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
            smooth = np.asarray(drawn.resize(shape[::-1], Image.Resampling.BICUBIC))
            found.append(((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8))
    return found


if __name__ == "__main__":
    main()
