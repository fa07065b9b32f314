"""Scales of the lungs' box, and the least share of lung of a cell that counts: what each does to a trained network.

    python benchmarks/lung_scales.py RUN --data mixed --fold 4 --adults nih_adults --lungs lung_masks

Nothing is trained. Prints, for each set of scales at the recipe's least share, and for each least share at the recipe's
scales: the area under the ROC curve on the fold's held-out films and on adults read by radiologists; how far the logit
moves (median) and how many verdicts flip at logit 0 when what surrounds the adults' lungs is another film's; and the
energy of the map in lungs outlined by people.
"""

from __future__ import annotations

import argparse
import csv
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lucency.arrays import Bools, Pixels
from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.data.splits import Fold
from lucency.evaluate.metrics import auroc
from lucency.explain import measures
from lucency.explain.faithfulness import square_mask
from lucency.explain.interventions import ReadOutputs, evaluate_causes
from lucency.film import open_film
from lucency.lungs import find_lungs
from lucency.models import Classifier, lung_crop
from lucency.models.classifier import fuse_batchnorm
from lucency.models.run import open_run
from lucency.progress import track

SCALES = ((1.0,), (0.96, 1.04), (0.93, 1.08), (0.88, 1.13), (0.88, 1.0, 1.13))
LEAST = (0.25, 0.8)
"""Beside the one in use."""
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name in ("data", "adults", "lungs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=4)
    given = parser.parse_args()
    run = open_run(given.run)
    network, preprocess = fuse_batchnorm(run.classifier), run.preprocess
    held = decode_squares(Fold(given.fold, 5).split(read_dataset(given.data))[1], preprocess)
    with (given.adults / "read_by_radiologists.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    adults = np.stack([preprocess(open_film(given.adults / row["path"])) for row in rows])
    opacity = np.array([row["label"] == "pneumonia" for row in rows])
    patients = np.unique([row["patient"] for row in rows], return_inverse=True)[1]
    outlined = [
        (preprocess(open_film(film)), square_mask(outline(given.lungs / "masks", film), preprocess))
        for film in sorted((given.lungs / "films").iterdir())
    ]
    shipped = network.crop.scales, lung_crop.FAINT_CELL
    variants = [(scales, shipped[1]) for scales in SCALES] + [(shipped[0], least) for least in LEAST]
    children, pneumonia = np.stack(held.pixels), held.films.label_array() == 1
    for scales, least in variants:
        network.crop.scales, lung_crop.FAINT_CELL = scales, least
        area = auroc(pneumonia, logits(network, children))
        causes = evaluate_causes(partial(outputs, network), adults, opacity, patients, lungs_of, 100)
        found = {one.name: one.value for one in causes}
        energy = np.mean([measures.energy_inside(evidence(network, film), mask) for film, mask in outlined])
        what = f"scales {' '.join(map(str, scales)):14} least {least:<4}  held out {area:.4f}"
        outside = (found["auroc"], found["exchanged_logit_moved"], found["exchanged_flipped"], energy)
        print(what, "adults {:.3f}  moved {:.3f}  flipped {:.3f}  energy {:.3f}".format(*outside), flush=True)


def outline(masks: Path, film: Path) -> Bools:
    """The outline with the film's name, whatever its suffix."""
    with Image.open(next(masks.glob(f"{film.stem}.*"))) as image:
        return np.asarray(image.convert("L")) > 0


def lungs_of(square: Pixels) -> Bools:
    return find_lungs(square).mask


def outputs(network: Classifier, films: Pixels) -> ReadOutputs:
    """Called at logit 0, never uncertain."""
    found = logits(network, films)
    return ReadOutputs(found, (found > 0).astype(np.int64), np.zeros(len(found), dtype=bool))


@torch.inference_mode()
def logits(network: Classifier, films: Pixels) -> np.ndarray:
    """Of films uint8 (n, s, s): (n,)."""
    batches = [torch.from_numpy(films[start : start + BATCH]).float() for start in range(0, len(films), BATCH)]
    found = [network(batch[:, None])[:, 0] for batch in track(batches, "reading films", len(batches))]
    return torch.cat(found).double().numpy()


@torch.inference_mode()
def evidence(network: Classifier, film: Pixels) -> np.ndarray:
    """The map of a film (s, s) at its own size."""
    _, maps = network.forward_map(torch.from_numpy(film).float()[None, None])
    return measures.upsample(maps[0, 0].numpy(), len(film))


if __name__ == "__main__":
    main()
