"""Backbones on equal terms: `python benchmarks/backbones.py --data kermany224 --out runs/backbones`.

Every network starts from its ImageNet weights and learns by one short recipe from the same patients, once a seed; the
patients of one fold in five, whom no run met, judge it. Printed: parameters and multiply-adds (counted), milliseconds
a film (measured, one film at a time on one thread, batch norms folded, all networks in turns), AUROC of each seed with
its 95 % interval by patient, and mean and range over seeds.

Without --data nothing is trained: sizes and milliseconds only. A finished run is kept and not trained again; a network
whose weights are missing is left out and reported.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lucency.bundle import read_card
from lucency.data import Dataset, read_dataset
from lucency.data.splits import Fold, group_holdout
from lucency.errors import WeightsError
from lucency.evaluate import evaluate_predictions
from lucency.models import backbone, build
from lucency.models.classifier import fuse_batchnorm
from lucency.models.flops import count_flops
from lucency.models.pretrained import find
from lucency.reader import Reader
from lucency.reader.predict import predict
from lucency.recipe import ModelSettings, Recipe, parse_recipe
from lucency.train import train_run

NETWORKS = ("mobilenet_v1", "mobilenet_v2", "efficientnet_lite0", "efficientnet_lite1")
FOLD = Fold(1, 5)
SPLIT_SEED = 0
SHORT = {
    "head": {"epochs": 5, "lr": 3e-3, "schedule": "cosine"},
    "finetune": {"lr": 4e-4, "schedule": "one_cycle", "weight_decay": 0.01, "batch_norm": "train"},
    "augment": {"aspect": [0.64, 1.57], "zoom": [0.85, 1.0], "rotate": 5},
}
"""What all have in common; the learning rate was found for MobileNetV2, which may favour it."""


@dataclass(frozen=True)
class Seed:
    """One run, evaluated on the fold."""

    seed: int
    auroc: float
    text: str
    """With its interval."""
    minutes: float


def main() -> int:
    """Measure, train, evaluate, print."""
    options = _options()
    torch.set_num_threads(1)
    print(f"{options.side} x {options.side}; torch {torch.__version__}, one thread\n")
    print(f"{'':20}{'parameters':>12}{'M multiply-adds':>17}{'ms a film':>11}{'slowest tenth':>15}")
    for name, spent in milliseconds(options.networks, options.side, options.rounds).items():
        cost = count_flops(name, side=options.side, top="linear")
        size = f"{cost.trainable:>12,}{cost.madds() / 1e6:>17.1f}"
        print(f"{name:20}{size}{np.median(spent):>11.2f}{np.quantile(spent, 0.9):>15.2f}")
    if options.data:
        print()
        for name in options.networks:
            print("\n".join(learned(name, options)), flush=True)
    return 0


def milliseconds(names: list[str], side: int, rounds: int) -> dict[str, np.ndarray]:
    """Of one reading, float64 (rounds,) a network, in turns: a slow moment of the machine falls on all."""
    torch.manual_seed(0)
    ready = {name: fuse_batchnorm(build(ModelSettings(backbone=name))) for name in names}
    networks = {name: network.to(memory_format=torch.channels_last) for name, network in ready.items()}
    film = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, side, side)).astype(np.float32))
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 3):  # the first ones warm up
        for name, network in networks.items():
            start = time.perf_counter()
            with torch.inference_mode():
                network(film)
            if number >= 3:
                found[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(spent) for name, spent in found.items()}


def learned(name: str, options: argparse.Namespace) -> list[str]:
    """Lines: a network's AUROC by seed, and over seeds."""
    weights = dict(pair.split("=", 1) for pair in options.weights).get(name, "imagenet")
    try:
        find(name, weights)
    except WeightsError as error:
        return [f"{name}: not trained, {error}"]
    seeds = [trained(_recipe(name, weights, seed, options), options) for seed in range(options.seeds)]
    lines = [f"{name} seed {one.seed}: AUROC {one.text}, {one.minutes:.1f} minutes of training" for one in seeds]
    areas = [one.auroc for one in seeds]
    mean = f"{np.mean(areas):.4f} ({min(areas):.4f} to {max(areas):.4f})"
    return [*lines, f"{name}: mean (range) of {len(seeds)} seeds {mean}"]


def trained(recipe: Recipe, options: argparse.Namespace) -> Seed:
    """One run, trained unless it exists, evaluated on the fold."""
    run = options.out / f"{recipe.name}-{recipe.seed}"
    rest, held = FOLD.split(read_dataset(options.data))
    if not (run / "card.json").exists():
        train_run(recipe, _some(rest, options.share), run, options.out / "cache", resume=run.exists())
    area = evaluate_predictions(predict(Reader.open(run), held).predictions, resamples=1000).measure("auroc")
    assert area.value is not None
    return Seed(recipe.seed, area.value, str(area), read_card(run).training.minutes or 0.0)


def _some(films: Dataset, share: float) -> Dataset:
    """That share of the patients, the same for all networks and seeds."""
    return films if share >= 1 else films.subset(group_holdout(films, share, SPLIT_SEED)[1])


def _recipe(name: str, weights: str, seed: int, options: argparse.Namespace) -> Recipe:
    tune = {**SHORT["tune"], "epochs": options.epochs}
    content = {"name": name, "seed": seed, "data": {"image_size": options.side}, **SHORT, "finetune": tune}
    return parse_recipe({**content, "model": {"backbone": name, "weights": weights}}, "benchmarks/backbones.py")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="films to learn from; without it nothing is trained")
    parser.add_argument("--out", type=Path, default=Path("runs/backbones"))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--weights", nargs="*", default=[], metavar="NETWORK=FILE", help="where not found by itself")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="of fine-tuning")
    parser.add_argument("--share", type=float, default=0.5, help="of the other folds' patients who are learned from")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    for name in options.networks:
        backbone(name)  # an unknown one is refused before anything is measured
    return options


if __name__ == "__main__":
    sys.exit(main())
