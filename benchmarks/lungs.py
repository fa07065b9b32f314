"""How well found lungs overlap with lungs that a person outlined: python benchmarks/lungs.py DIR

DIR holds films/ and masks/ with the same names. Prints Dice, mean and worst tenth, and the films below 0.85.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from lucency.film import open_film
from lucency.lungs import dice, find_lungs


def main(folder: Path) -> None:
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    scores, doubted = {}, []
    for path in sorted((folder / "films").iterdir()):
        found = find_lungs(open_film(path).gray8())
        with Image.open(masks[path.stem]) as image:
            scores[path.name] = dice(found.mask, np.asarray(image.convert("L")) > 0)
        doubted += [f"{path.name}: {', '.join(found.doubts)}"] if found.doubts else []
    values = np.array(list(scores.values()))
    print(f"{len(values)} films: Dice mean {values.mean():.3f}, worst tenth {np.quantile(values, 0.1):.3f}")
    for name, value in sorted(scores.items(), key=lambda item: item[1]):
        if value < 0.85:
            print(f"  {value:.3f}  {name}")
    print("doubted:", *(doubted or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
