"""What moves the logit when all around the lungs is exchanged: their pixels, their box or their mask?

    python benchmarks/lung_moves.py RUN --adults nih_adults

Reads each film of adults as it is and among another patient's surroundings (lucency.explain.interventions), with the
box and mask of the film as it is or found anew. Prints by how much the logit moves, median, for three assignments of
surroundings, and by how much the box does, in shares of the film.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lucency.explain.interventions import donors, exchange_outside
from lucency.film import open_film
from lucency.lungs import find_lungs
from lucency.models import Classifier
from lucency.models.classifier import fuse_batchnorm
from lucency.models.layers import resample
from lucency.models.lung_crop import scaled, standardise
from lucency.models.run import open_run

BATCH = 16
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--adults", type=Path, required=True)
    given = parser.parse_args()
    run = open_run(given.run)
    network = fuse_batchnorm(run.classifier)
    with (given.adults / "read_by_radiologists.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    films = np.stack([run.preprocess(open_film(given.adults / row["path"])) for row in rows])
    patients = np.unique([row["patient"] for row in rows], return_inverse=True)[1]
    lungs = [find_lungs(film).mask for film in films]
    own, own_mask = as_tensor(films), masks(network, as_tensor(films))
    before = logits(network, own, own_mask, own_mask)
    for seed in SEEDS:
        pairs = enumerate(donors(patients, np.random.default_rng(seed)))
        changed = as_tensor(np.stack([exchange_outside(films[i], lungs[i], films[j], lungs[j]) for i, j in pairs]))
        mask = masks(network, changed)
        for what, box_of, mask_of in (
            ("box and mask found anew", mask, mask),
            ("box and mask as before", own_mask, own_mask),
            ("box alone found anew", mask, own_mask),
            ("mask alone found anew", own_mask, mask),
        ):
            moved = (logits(network, changed, box_of, mask_of) - before).abs().median()
            print(f"surroundings {seed}: {what:24} {moved:.3f}", flush=True)
        assert network.crop is not None
        sides = (network.crop.box(mask) - network.crop.box(own_mask)).abs().median(0).values
        print(f"surroundings {seed}: sides of the box       ", *(f"{side:.4f}" for side in sides))


def as_tensor(films: np.ndarray) -> Tensor:
    """uint8 (n, s, s) → float32 (n, 1, s, s)."""
    return torch.from_numpy(films).float()[:, None]


@torch.inference_mode()
def masks(network: Classifier, films: Tensor) -> Tensor:
    """Probability of lung, (n, 1, 48, 48)."""
    assert network.crop is not None
    return torch.cat([network.crop.lungs(batch) for batch in torch.split(films, BATCH)])


@torch.inference_mode()
def logits(network: Classifier, films: Tensor, box_of: Tensor, mask_of: Tensor) -> Tensor:
    """(n,), with boxes from one set of masks and what lies in them from another."""
    crop, found = network.crop, []
    assert crop is not None
    for batch, boxes, inside in zip(*(torch.split(one, BATCH) for one in (films, box_of, mask_of)), strict=True):
        at_scales = []
        for scale in crop.scales:
            box = scaled(crop.box(boxes), scale)
            pixels, mask = resample(batch[:, 0], box, crop.centers), resample(inside[:, 0], box, crop.mask_centers)
            standard, weights = standardise(pixels[:, None], mask[:, None], crop.cells)
            pooled = network.head.pool(network.forward_features(standard), weights)
            at_scales.append(network.head(pooled)[:, 0])
        found.append(torch.stack(at_scales).mean(0))
    return torch.cat(found)


if __name__ == "__main__":
    main()
