"""Does a reader need the lungs? `python benchmarks/covered.py RUN|BUNDLE --data DIR [--fold 1] [--films 400]`.

The same films read as they are, with the lungs painted over, and with all but the lungs painted over, in the film's
own mean gray. A reader of pneumonia should answer badly without lungs and well from them alone; one that read the
acquisition would do the opposite. Paint says something too, by its outline and by being strange: as much is painted
with the outline of another film's lungs, upside down. Lungs by `lucency.lungs`. Prints the area under the ROC
curve with its 95 % interval by patient, and the mean logits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.data.splits import Fold
from lucency.evaluate.confidence_intervals import auroc_interval
from lucency.evaluate.metrics import auroc
from lucency.lungs import lung_mask
from lucency.reader import Reader
from lucency.reader.predict import as_labelled

Squares = NDArray[np.uint8]
Masks = NDArray[np.bool_]
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--fold", type=int, help="which of five folds the run did not learn from")
    parser.add_argument("--films", type=int, default=400, help="drawn at random; 0 for all")
    settings = parser.parse_args()
    reader = Reader.open(settings.reader)
    films = as_labelled(read_dataset(settings.data), reader.card.labels)
    if settings.fold:
        films = Fold(settings.fold, 5).split(films)[1]
    drawn = np.random.default_rng(0).permutation(len(films))[: settings.films or None]
    decoded = decode_squares(films.subset(np.sort(drawn)), reader.preprocess)
    squares, positive = np.stack(decoded.pixels), decoded.films.label_array() == 1
    groups = np.unique(decoded.films.groups(), return_inverse=True)[1].astype(np.int64)
    lungs = np.stack([lung_mask(gray) for gray in squares])
    print(
        f"{len(positive)} films, {positive.sum()} with the finding, of {groups.max() + 1} patients; {settings.reader}"
    )
    print(f"lungs are {lungs.mean():.1%} of the film")
    strange = np.roll(lungs, 1, axis=0)[:, ::-1]
    ways = {
        "as they are": np.zeros_like(lungs),
        "lungs painted over": lungs,
        "other lungs' outline, upside down": strange,
        "all but the lungs painted over": ~lungs,
        "all but that outline": ~strange,
    }
    for name, mask in ways.items():
        logits = read(reader, painted(squares, mask))
        low, high = auroc_interval(positive, logits, groups) or (np.nan, np.nan)
        means = f"mean logit {logits[positive].mean():+.2f} with, {logits[~positive].mean():+.2f} without the finding"
        print(f"{name:36}AUROC {auroc(positive, logits):.4f} ({low:.4f} to {high:.4f})   {means}", flush=True)


def painted(squares: Squares, mask: Masks) -> Squares:
    """Each film with its own mean gray inside the mask."""
    means = squares.mean(axis=(1, 2)).round().astype(np.uint8)
    return np.where(mask, means[:, None, None], squares)


def read(reader: Reader, squares: Squares) -> NDArray[np.float64]:
    """The first finding's logits (n,)."""
    parts = [reader.read_batch(squares[i : i + BATCH]).logits[:, 0] for i in range(0, len(squares), BATCH)]
    return np.concatenate(parts).astype(np.float64)


if __name__ == "__main__":
    main()
