"""How far each reason to doubt a reading can be trusted. `python benchmarks/doubts.py FILM…`.

Reads frontal chest films as they are and altered: turned, mirrored, upside down, inverted, cut to a part of the chest,
reduced to a tenth of their gray levels. A reason is right if the film was altered in a way that it names. Prints, for
each reason, its share of the films as they are and of those it should find, and its precision where one film in ten is
altered in such a way.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    "may be no frontal chest film": set(ALTERED) - {"as they are", "mirrored"},
    "looks upside down": {"upside down"},
    "film mirrored?": {"mirrored", "upside down"},
    "two lungs were not found": {"a third of it", "lower half", "turned", "upside down", "inverted"},
    "lungs reach beyond the edge": {"a third of it", "lower half"},
    "lungs show no detail": {"a tenth of its levels"},
    "too narrow or too wide": {"a third of it", "lower half"},
    "of 256 gray levels": {"a tenth of its levels"},
}
"""A reason → of which films it is right."""
SHARE = 0.1
"""Of films altered in one of these ways."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--bundle", type=Path)
    asked = parser.parse_args()
    reader = Reader.open(asked.bundle)
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for path in track(asked.films, "reading", total=len(asked.films)):
        gray = open_film(path).gray8()
        for way, alter in ALTERED.items():
            warnings = reader.read(Film(np.ascontiguousarray(alter(gray)), path.name)).warnings
            for reason in RIGHT:
                said[reason][way] += any(reason in warning for warning in warnings)
    print(f"{len(asked.films)} films by {reader.card.name}")
    for reason, right in RIGHT.items():
        shares = {way: said[reason][way] / len(asked.films) for way in ALTERED}
        hit, alarm = sum(shares[way] for way in right) / len(right), shares["as they are"]
        found = SHARE * hit
        precision = found / max(found + (1 - SHARE) * alarm, 1e-9)
        ways = ", ".join(f"{way} {share:.1%}" for way, share in shares.items() if share >= 0.005)
        print(f"{reason}: precision {precision:.2f} (as they are {alarm:.1%}, where right {hit:.1%}; {ways})")


if __name__ == "__main__":
    main()
