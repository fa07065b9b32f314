"""The levers against learning one hospital, each judged on films that someone else acquired.

    python benchmarks/lung_levers.py --data mixed --weights mobilenet_v2-b0353104.pth --adults nih_adults --cache views

The recipe `lungs` on one fold, one seed, few steps, as benchmarks/lung_reading.py trains its row "+ cells"; then the
same with one lever pulled: a part of the augmentation left out, another one added, or the training changed. Columns as
there, and minutes (views and training). Distillation is judged in docs/lungs.md, with the reader that ships.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import lung_reading as reading
import torch
from torch import Tensor
from torch.nn import functional as F

from lucency.data import read_dataset
from lucency.data.splits import Fold
from lucency.recipe import Recipe, read_recipe

CHANCE = 0.5
"""Of an augmented view to be exchanged."""
LOW = 0.04
"""Share of the frequencies, along each axis, whose amplitude Fourier exchange takes from the other film."""


@dataclass(frozen=True)
class Lever:
    """What differs from the recipe."""

    augment: Mapping[str, object] = field(default_factory=dict)
    rare_weight: float | None = None
    """In place of the recipe's."""
    exchange: reading.Exchange | None = None
    side: int = 0
    """Films are reduced to this side first; 0 leaves them."""
    rate: float = reading.RATE
    steps: float = 1.0
    """Share of the steps."""
    frozen: int = 0
    """Blocks that stay frozen beyond the seven."""
    swa: bool = False
    start: float = 0.0
    """Share of the start in the weights (WiSE-FT)."""


def fourier(films: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """The others' amplitude at low frequencies, the films' phase (Yang & Soatto 2020, arXiv:2004.05498)."""
    found, wanted = torch.fft.fft2(films), torch.fft.fft2(others)
    frequency = torch.fft.fftfreq(films.shape[-1]).abs()
    low = (frequency[:, None] < LOW / 2) & (frequency < LOW / 2)
    amplitude = torch.where(low, wanted.abs(), found.abs())
    return some(films, torch.fft.ifft2(torch.polar(amplitude, found.angle())).real.clamp(0, 255), generator)


def histogram(films: Tensor, others: Tensor, generator: torch.Generator) -> Tensor:
    """The others' gray levels in the films' order."""
    order = films.flatten(1).argsort(1).argsort(1)
    return some(films, others.flatten(1).sort(1).values.gather(1, order).reshape(films.shape), generator)


def some(films: Tensor, changed: Tensor, generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(len(films), 1, 1, 1, generator=generator) < CHANCE, changed, films)


LEVERS = {
    "the recipe": Lever(),
    "no random aspect": Lever({"aspect": (1.0, 1.0)}),
    "no contrast by scale": Lever({"scales": 0.0, "exchange": 0.0}),
    "no bias field": Lever({"bias_field": 0.0}),
    "no sharpness": Lever({"sharpness": (0.0, 0.0)}),
    "no tone curve": Lever({"gamma": (1.0, 1.0)}),
    "no noise": Lever({"noise": 0.0}),
    "rare setting not weighted": Lever(rare_weight=1.0),
    "Fourier amplitude": Lever(exchange=fourier),
    "histogram": Lever(exchange=histogram),
    "112 pixels": Lever(side=112),
    "half of the steps": Lever(steps=0.5),
    "a quarter of the rate": Lever(rate=reading.RATE / 4),
    "three more blocks frozen": Lever(frozen=3),
    "SWA": Lever(swa=True),
    "WiSE-FT, 0.3 of the start": Lever(start=0.3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "weights", "adults", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levers", nargs="+", choices=LEVERS, default=list(LEVERS))
    given = parser.parse_args()
    recipe = read_recipe("lungs")
    recipe = recipe.model_copy(update={"finetune": recipe.finetune.model_copy(update={"views": 1})})
    films = reading.gather(read_dataset(given.data), given.adults, Fold(given.fold, 5), recipe)
    for name in given.levers:
        began = time.monotonic()
        print(f"{name:26}", evaluate(LEVERS[name], films, recipe, given), end="  ", flush=True)
        print(f"{(time.monotonic() - began) / 60:.1f} min", flush=True)


def evaluate(lever: Lever, films: reading.Films, recipe: Recipe, given: argparse.Namespace) -> str:
    """Train with the lever and say what it reaches."""
    recipe = recipe.model_copy(
        update={
            "augment": recipe.augment.model_copy(update=lever.augment),
            "data": recipe.data.model_copy(update={"rare_weight": lever.rare_weight or recipe.data.rare_weight}),
        }
    )
    torch.manual_seed(given.seed)
    network = reading.classifier(recipe, given.weights, local=True)
    seen = films if not lever.side else replace(films, squares=reduced(films.squares, lever.side))
    shared = not (lever.augment or lever.exchange or lever.side or lever.rare_weight)
    folder = given.cache / ("levers" if shared else "lever") / str(given.fold)
    views = reading.views_of(network, seen, "blank", recipe, folder, lever.exchange)
    start = reading.Upper(copy.deepcopy(network)).eval()
    upper = reading.train(
        network,
        seen,
        views,
        reading.learned_views(seen, views),
        int(given.steps * lever.steps),
        given.seed,
        cells=True,
        rate=lever.rate,
        frozen=lever.frozen,
        swa=lever.swa,
    )
    reading.blend(upper, start, lever.start)
    logits, maps = reading.answer(upper, views, seen)
    if not shared:
        shutil.rmtree(folder)
    return reading.figures("", seen, views, logits[None], logits, maps)


def reduced(squares: Tensor, side: int) -> Tensor:
    """Films (n, s, s) at `side` pixels, brought back to s."""
    parts = []
    for some_films in squares.split(256):
        small = F.interpolate(some_films[:, None].float(), (side, side), mode="bilinear", antialias=True)
        parts.append(F.interpolate(small, squares.shape[1:], mode="bilinear")[:, 0].round().clamp(0, 255).byte())
    return torch.cat(parts)


if __name__ == "__main__":
    main()
