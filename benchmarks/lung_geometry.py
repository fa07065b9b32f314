"""How much the lungs' outline alone tells: python benchmarks/lung_geometry.py --data chest_xray --adults nih_adults

A classifier that sees no gray level, only the mask that the network finds: its box on the film, its share of the box,
and the mask inside at 12 x 12 cells. Prints the area under the ROC curve, cross-validated by patient, and on adults
read by radiologists: of the mask in its box, which is all of it that reaches the network that ships, and of both.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from torch.nn import functional as F

from lucency.arrays import Floats
from lucency.data import read_dataset
from lucency.data.dataset import decode_squares, preprocess_of
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.evaluate.metrics import auroc
from lucency.film import open_film
from lucency.models.layers import resample
from lucency.models.lung_crop import LungCrop
from lucency.progress import track
from lucency.recipe import read_recipe

CELLS = 12
FOLDS = 5
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--adults", type=Path, required=True)
    given = parser.parse_args()
    preprocess, crop = preprocess_of(read_recipe("lungs").data), LungCrop(192, CELLS)
    decoded = decode_squares(read_dataset(given.data), preprocess)
    with (given.adults / "read_by_radiologists.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    adults = np.stack([preprocess(open_film(given.adults / row["path"])) for row in rows])
    opacity = np.array([row["label"] == "pneumonia" for row in rows])
    labels = decoded.films.label_array() == 1
    folds = stratified_group_kfold(decoded.films, FOLDS, SPLIT_SEED)
    children, grown = geometry(crop, np.stack(decoded.pixels)), geometry(crop, adults)
    for name, columns in {"mask in the box": slice(4, None), "box and mask": slice(None)}.items():
        scores, outside = np.zeros(len(labels)), np.zeros(len(adults))
        for learned, held in folds:
            model = HistGradientBoostingClassifier(max_iter=200, class_weight="balanced", random_state=0)
            model.fit(children[learned][:, columns], labels[learned])
            scores[held] = model.predict_proba(children[held][:, columns])[:, 1]
            outside += model.predict_proba(grown[:, columns])[:, 1]
        print(f"{name:16} children {auroc(labels, scores):.3f}  adults {auroc(opacity, outside):.3f}")


@torch.inference_mode()
def geometry(crop: LungCrop, films: NDArray[np.uint8]) -> Floats:
    """Of films (n, s, s): the box (4), the lungs' share of it (1), the mask in it, (12 x 12)."""
    found = []
    for start in track(range(0, len(films), BATCH), "finding lungs", -(-len(films) // BATCH)):
        lungs = crop.lungs(torch.from_numpy(films[start : start + BATCH]).float()[:, None])
        box = crop.box(lungs)
        mask = resample(lungs[:, 0], box, crop.mask_centers)[:, None]
        cells = F.adaptive_avg_pool2d(mask, CELLS).flatten(1)
        found.append(torch.cat([box, mask.mean((1, 2, 3))[:, None], cells], 1))
    return torch.cat(found).double().numpy()


if __name__ == "__main__":
    main()
