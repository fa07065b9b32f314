"""How well found lungs overlap with lungs that a person outlined: python benchmarks/lungs.py DIR [BUNDLE]

DIR holds films/ and masks/ with the same names. Prints Dice, mean and worst tenth, over all films and over those on
which both lungs are outlined; the films below 0.85; and of each outlined lung the share that is found: is one lost?
Last, how much of the map of the bundle (the one that ships) lies in them; a film without positive evidence counts as 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from lucency.arrays import Bools
from lucency.bundle import DEFAULT
from lucency.explain.boxes import outlined_lungs
from lucency.explain.measures import energy_inside, upsample
from lucency.film import open_film
from lucency.lungs import dice, find_lungs
from lucency.reader import Reader

LUNG = 0.15
"""Least share of an outline that is a lung, not a speck."""


def main(folder: Path, bundle: Path = DEFAULT) -> None:
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    scores, both, lungs, doubted = {}, [], [], []
    for path in sorted((folder / "films").iterdir()):
        found = find_lungs(open_film(path).gray8())
        with Image.open(masks[path.stem]) as image:
            outline = np.asarray(image.convert("L")) > 0
        scores[path.name] = dice(found.mask, outline)
        parts = lungs_of(outline)
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
    energy(folder, bundle)


def energy(folder: Path, bundle: Path) -> None:
    """Print the share of the map's positive evidence in the outlined lungs."""
    reader = Reader.open(bundle)
    found = []
    for case in outlined_lungs(folder, reader.preprocess).films:
        assert case.lungs is not None
        evidence = upsample(reader.read_batch(case.gray[None]).maps[0, 0], len(case.lungs))
        found.append((energy_inside(evidence, case.lungs), len(lungs_of(case.lungs)) > 1))
    known = [value for value, both in found if both and value > 0]
    print(f"energy in outlined lungs: {np.mean([value for value, _ in found]):.3f}")
    print(f"with evidence and both lungs outlined, {len(known)} films: {np.mean(known):.3f}")


def lungs_of(outline: Bools) -> list[Bools]:
    """Each lung of an outline alone."""
    parts, count = ndimage.label(outline)
    return [part for part in (parts == k for k in range(1, count + 1)) if part.sum() > LUNG * outline.sum()]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
