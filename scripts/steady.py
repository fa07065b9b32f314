"""Train a run of the recipe `lungs` on, so that what should not matter changes its logit less.

    python scripts/steady.py runs/student --data mixed --fold 4 --out runs/steady

A box moved by half a percent of the film, or other surroundings, from which the segmenter finds slightly other lungs,
move the logit. The target of a film is the run's mean answer at four scales of its box; the views are its box moved and
scaled at random, twice on the film as it is and twice among the surroundings of another patient's film
(lucency.explain.interventions). The blocks that the recipe trains change; batch norm keeps its statistics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.data.learned import LEARNED, learned_bytes
from lucency.data.splits import Fold
from lucency.evaluate.metrics import auroc
from lucency.explain.interventions import donors, exchange_outside
from lucency.lungs import find_lungs
from lucency.models import Classifier, blocks
from lucency.models.classifier import fuse_batchnorm
from lucency.models.layers import resample
from lucency.models.lung_crop import flat_evidence, flat_share, small_film, standardise
from lucency.models.run import open_run, save_run
from lucency.progress import track
from lucency.recipe import read_recipe

Array = NDArray[Any]
SCALES = (0.88, 0.93, 1.0, 1.08)
"""Of the box, whose mean answer is the target."""
AS_IS, EXCHANGED = ((0.85, 1.15), 0.02), ((0.85, 1.12), 0.01)
"""Range of a view's scale, and by how much of the box its centre and sides move, of the two kinds of view."""
ROUNDS = 2
"""Views of each kind."""
LEAST = 0.6
"""Share of lung from which a cell counts here; fewer count when films are read (lung_crop.FAINT_CELL)."""
BATCH, READING = 64, 48
TAUGHT = 0.8
"""Share of the run's own probability in the target; the rest is the label."""
LABELS = 0.3
"""Weight of that target's cross-entropy beside the Huber distance to the run's own logit."""
HUBER = 0.3
EMA = 0.98


class Crops(NamedTuple):
    """Crops of n films: what the blocks that train read."""

    activations: Array
    """float16 (n, k, h, w), of the blocks that stay."""
    weights: Array
    """float32 (n, c, c), of the cells."""


def moved(box: Tensor, scale: Tensor | float, shift: float, generator: Generator) -> Tensor:
    """Boxes (n, 4), scaled; centre and sides moved by up to `shift` of the sides."""
    centre, half = (box[:, 2:] + box[:, :2]) / 2, (box[:, 2:] - box[:, :2]) / 2
    centre = centre + half * 2 * (torch.rand(centre.shape, generator=generator) * 2 - 1) * shift
    half = half * scale * (1 + (torch.rand(centre.shape, generator=generator) * 2 - 1) * shift)
    return torch.cat([centre - half, centre + half], 1)


@torch.inference_mode()
def crops(
    network: Classifier,
    staying: nn.Module,
    films: Array,
    scales: tuple[float, float],
    shift: float,
    draw: torch.Generator,
) -> Crops:
    """One crop of each film uint8 (n, s, s), its box scaled within `scales` and moved by `shift`."""
    crop, found = network.crop, []
    assert crop is not None
    starts = range(0, len(films), READING)
    for start in track(starts, "reading crops", len(films), lambda _: READING):
        gray = torch.from_numpy(films[start : start + READING]).float()[:, None]
        lungs = crop.lungs(gray)
        low, high = scales
        scale = torch.rand(len(gray), 1, generator=draw) * (high - low) + low if high > low else low
        box = moved(crop.box(lungs), scale, shift, draw)
        pixels, mask = resample(gray[:, 0], box, crop.centers), resample(lungs[:, 0], box, crop.mask_centers)
        standard, weights = standardise(pixels[:, None], mask[:, None], crop.cells, least=LEAST)
        seen = flat_evidence(flat_share(small_film(gray), lungs))
        activations = staying(network.normalise(standard).contiguous(memory_format=torch.channels_last))
        found.append((activations.half().numpy(), (weights * seen[:, None, None]).numpy()))
    return Crops(*(np.concatenate(part) for part in zip(*found, strict=True)))


class Trained(nn.Module):
    """The blocks that train, and the head; shares the network's weights."""

    def __init__(self, network: Classifier, count: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*list(blocks(network))[-count:]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = network.head

    def forward(self, activations: Array, weights: Array) -> Tensor:
        """Logits (n,) of crops."""
        given = torch.from_numpy(activations.astype(np.float32)).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(self.head.pool(self.blocks(given), torch.from_numpy(weights)))[:, 0]
        return logits

    @torch.no_grad()
    def logits(self, crops: Crops) -> Tensor:
        """Logits of all crops, (n,)."""
        starts = range(0, len(crops.weights), BATCH)
        return torch.cat([self(*(part[k : k + BATCH] for part in crops)) for k in starts])


def among_others(films: Array, lungs: Array, patients: Array, seed: int) -> Array:
    """Each film among the surroundings of another patient's; those without lungs stay."""
    known = np.flatnonzero(lungs.any((1, 2)))
    pairs = zip(known, known[donors(patients[known], np.random.default_rng(seed))], strict=True)
    changed = films.copy()
    for i, j in track(list(pairs), "exchanging surroundings"):
        changed[i] = exchange_outside(films[i], lungs[i], films[j], lungs[j])
    return changed


def train(trained: Trained, views: Crops, taught: Tensor, labels: Tensor, passes: float, rate: float) -> None:
    """Train on views, of which every len(taught)-th is of the same film; the average of the weights is kept."""
    weights = [*trained.parameters()]
    for weight in weights:
        weight.requires_grad_(True)
    average = [weight.detach().clone() for weight in weights]
    steps = int(passes * len(views.weights) / BATCH)
    optimiser = torch.optim.AdamW(weights, rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(len(views.weights)) for _ in range(int(np.ceil(passes)))])
    for step in track(range(steps), "training", steps):
        chosen = np.sort(order[step * BATCH : (step + 1) * BATCH])
        logits, film = trained(*(part[chosen] for part in views)), chosen % len(taught)
        target = TAUGHT * taught[film].sigmoid() + (1 - TAUGHT) * labels[film]
        pull = F.smooth_l1_loss(logits, taught[film], beta=HUBER)
        optimiser.zero_grad()
        (pull + LABELS * F.binary_cross_entropy_with_logits(logits, target)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        for kept, weight in zip(average, weights, strict=True):
            kept.lerp_(weight.detach(), 1 - EMA)
    with torch.no_grad():
        for kept, weight in zip(average, weights, strict=True):
            weight.copy_(kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read crops of the films that the run learned from, train on, print AUROC and movement, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--fold", type=int, default=4, help="the fold that the run never learned from")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--passes", type=float, default=4.0)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--out", type=Path, required=True)
    settings = parser.parse_args(arguments)
    run = open_run(settings.run)
    network, count = run.classifier.eval(), read_recipe("lungs").finetune.unfreeze_blocks
    assert isinstance(count, int)
    staying = fuse_batchnorm(nn.Sequential(*list(blocks(network))[:-count])).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learn, held = Fold(settings.fold, settings.folds).split(read_dataset(settings.data))
    decoded = decode_squares(learn, run.preprocess)
    films, labels = np.stack(decoded.pixels), torch.from_numpy(decoded.films.label_array()).float()
    patients = np.unique([sample.patient for sample in decoded.films.samples], return_inverse=True)[1]
    lungs = np.stack([find_lungs(film).mask for film in track(films, "finding lungs", len(films))])
    draw, trained = Generator().manual_seed(1), Trained(network, count)
    at_scales = [crops(network, staying, films, (scale, scale), 0.0, draw) for scale in SCALES]
    taught = torch.stack([trained.logits(one) for one in at_scales]).mean(0)
    views = [crops(network, staying, films, *AS_IS, draw) for _ in range(ROUNDS)]
    others = [among_others(films, lungs, patients, seed=10 + number) for number in range(ROUNDS)]
    views += [crops(network, staying, changed, *EXCHANGED, draw) for changed in others]
    together = Crops(*(np.concatenate(part) for part in zip(*views, strict=True)))
    unseen = decode_squares(held, run.preprocess)
    truth, squares = unseen.films.label_array() == 1, np.stack(unseen.pixels)

    def report(when: str) -> None:
        off = (trained.logits(together) - taught.repeat(len(views))).abs().median()
        scores = np.mean([trained.logits(crops(network, staying, squares, (s, s), 0.0, draw)) for s in SCALES], axis=0)
        print(f"{when}: views {off:.3f} logits from the target (median), held-out AUROC {auroc(truth, scores):.4f}")

    report("before")
    train(trained, together, taught, labels, settings.passes, settings.rate)
    report("after")
    save_run(settings.out, network, run.card, {LEARNED: learned_bytes(learn, learn.subset([]))})
    return 0


if __name__ == "__main__":
    sys.exit(main())
