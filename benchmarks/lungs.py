"""How well found lungs overlap with lungs that a person outlined: python benchmarks/lungs.py DIR

DIR holds films/ and masks/ with the same names. Prints Dice, mean and worst tenth, over all films and over those on
which both lungs are outlined; the films below 0.85; and of each outlined lung the share that is found: is one lost?
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from lucency.arrays import Bools
from lucency.film import open_film
from lucency.lungs import dice, find_lungs

LUNG = 0.15
"""Least share of an outline that is a lung, not a speck."""


def main(folder: Path) -> None:
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    scores, both, lungs, doubted = {}, [], [], []
    for path in sorted((folder / "films").iterdir()):
        found = find_lungs(open_film(path).gray8())
        with Image.open(masks[path.stem]) as image:
            outline = np.asarray(image.convert("L")) > 0
        scores[path.name] = dice(found.mask, outline)
        parts = outlined_lungs(outline)
        lungs += [float(found.mask[part].mean()) for part in parts]
        both += [scores[path.name]] if len(parts) > 1 else []
        doubted += [f"{path.name}: {', '.join(found.doubts)}"] if found.doubts else []
    for what, values in (("films", list(scores.values())), ("films with both lungs outlined", both)):
        print(f"{len(values)} {what}: Dice mean {np.mean(values):.3f}, worst tenth {np.quantile(values, 0.1):.3f}")
    for name, value in sorted(scores.items(), key=lambda item: item[1]):
        if value < 0.85:
            print(f"  {value:.3f}  {name}")
    print(f"{len(lungs)} outlined lungs: share found, mean {np.mean(lungs):.3f}, least {min(lungs):.3f}")
    print("doubted:", *(doubted or ["none"]), sep="\n  ")


def outlined_lungs(outline: Bools) -> list[Bools]:
    """Each lung of an outline alone."""
    parts, count = ndimage.label(outline)
    return [part for part in (parts == k for k in range(1, count + 1)) if part.sum() > LUNG * outline.sum()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
