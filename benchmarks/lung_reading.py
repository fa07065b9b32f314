"""What a network should see of a film, compared on equal terms, and what films of a second hospital teach it.

    python benchmarks/lung_reading.py --data mixed --weights mobilenet_v2-b0353104.pth --adults nih_adults --cache views

One fold of five, one seed, the same films, augmentation, frozen blocks, steps and rates for each row:

    whole    the whole film, standardised by all of it
    box      the lungs' box, standardised by all of it
    blank    the box, standardised inside the lungs, the rest blank; all blocks, pooled over the square
    local    the same pixels; fourteen blocks and an expansion, a map of 12 x 12 cells pooled over the lungs
    + cells  local, and a loss on cells where the truth is known (normal films, painted opacities)
    + adults + cells, with adult films labelled by text mining among the training films: in three folds by patient,
             each judged on adults of patients that it never met; the other columns are the three networks' means

Prints the area under the ROC curve on the fold's held-out films of the usual acquisition settings, of the flat block
that the fold leaves out (against the same pneumonias), and on adults read by radiologists; and how often the map's
maximum lies in a radiologist's box. Views are computed once for each kind of input and kept in --cache.
"""

from __future__ import annotations

import argparse
import copy
import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.data import Dataset, read_dataset
from lucency.data.dataset import Sample, decode_squares, preprocess_of
from lucency.data.splits import Fold
from lucency.evaluate.metrics import auroc
from lucency.explain.boxes import boxed_films
from lucency.explain.faithfulness import square_mask
from lucency.film import open_film
from lucency.models import Classifier, build
from lucency.models.classifier import fuse_batchnorm
from lucency.models.layers import resample
from lucency.models.lung_crop import MASK_CELLS, LungCrop, standardise
from lucency.progress import track
from lucency.recipe import Recipe, read_recipe
from lucency.train.cached_views import AUGMENTED, PAINTED, PLAIN, plan_views
from lucency.train.lung_augment import DILATIONS, Draw, draw_acquisition

BATCH = 64
FROZEN = 7
"""Blocks that are not trained."""
CELLS = 12
RATE = 2e-3
CELL_LOSS = 0.25
OPACITY = 0.12
"""A cell with a larger painted share holds an opacity."""
MINED = {"No Finding": 0, "Pneumonia": 1}
"""Text-mined labels that are learned from."""
INPUTS = {"whole": "whole", "box": "box", "blank": "blank", "local": "blank", "+ cells": "blank", "+ adults": "blank"}


Exchange = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Films (n, 1, s, s) and as many others → films that look like the others in some way."""


class Cached(NamedTuple):
    """Activations of the frozen blocks for views of films, and what is known of each view."""

    inputs: NDArray[np.float16]
    weights: Tensor
    opacity: Tensor
    film: NDArray[np.int64]
    kind: NDArray[np.int64]


@dataclass(frozen=True)
class Films:
    """All films of the comparison, decoded; those of the children first."""

    dataset: Dataset
    squares: Tensor
    children: int
    held_out: NDArray[np.bool_]
    read: NDArray[np.bool_]
    """Adults whom radiologists read."""
    boxes: dict[int, NDArray[np.bool_]]

    def labels(self) -> NDArray[np.int64]:
        return self.dataset.label_array()

    def settings(self) -> NDArray[np.str_]:
        return np.array([sample.columns.get("setting", "") for sample in self.dataset.samples])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "weights", "adults", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--views", type=int, default=3, help="augmented views of a film of the larger class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", choices=INPUTS, default=list(INPUTS))
    given = parser.parse_args()
    recipe = read_recipe("lungs")
    recipe = recipe.model_copy(update={"finetune": recipe.finetune.model_copy(update={"views": given.views})})
    films = gather(read_dataset(given.data), given.adults, Fold(given.fold, 5), recipe)
    torch.manual_seed(given.seed)
    for row in given.rows:
        network = classifier(recipe, given.weights, local=row in ("local", "+ cells", "+ adults"))
        views = views_of(network, films, INPUTS[row], recipe, given.cache / f"{INPUTS[row]}-{given.fold}")
        print(f"{row:9}", compare(row, network, films, views, given.steps, given.seed), flush=True)


def gather(children: Dataset, adults: Path, fold: Fold, recipe: Recipe) -> Films:
    """Children's films and the adults', by their text-mined label, or by the radiologists' where they read them."""
    with (adults / "films.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (adults / "read_by_radiologists.csv").open(newline="") as stream:
        read = {line["path"]: int(line["label"] == "pneumonia") for line in csv.DictReader(stream)}
    mined = {
        row["path"]: next((MINED[one] for one in MINED if one in row["nih_labels"].split("|")), None) for row in rows
    }
    grown = tuple(
        Sample(
            row["path"],
            read.get(row["path"], mined[row["path"]] or 0),
            partial(open_film, adults / row["path"]),
            f"adult {row['patient']}",
            columns={"mined": "" if mined[row["path"]] is None else str(mined[row["path"]])},
            path=adults / row["path"],
        )
        for row in rows
    )
    held = {sample.name for sample in fold.split(children)[1].samples}
    decoded = decode_squares(replace(children, samples=(*children.samples, *grown)), preprocess_of(recipe.data))
    kept = decoded.films
    boxed = boxed_films(adults / "boxes.csv", adults / "films.csv")
    masks = {
        sample.name: square_mask(sample.mask(), preprocess_of(recipe.data)) for sample in boxed.samples if sample.mask
    }
    names = [sample.name for sample in kept.samples]
    return Films(
        kept,
        torch.from_numpy(np.stack(decoded.pixels)),
        sum(not (sample.patient or "").startswith("adult ") for sample in kept.samples),
        np.array([name in held for name in names]),
        np.array([name in read for name in names]),
        {k: masks[name] for k, name in enumerate(names) if name in masks},
    )


def classifier(recipe: Recipe, weights: Path, local: bool) -> Classifier:
    """The recipe's network, or all blocks with a pool over the square."""
    changes = {"weights": str(weights)} if local else {"weights": str(weights), "depth": 0, "expansion": False}
    return build(recipe.model.model_copy(update=changes), bias=[0.0])


def views_of(
    network: Classifier, films: Films, seen: str, recipe: Recipe, folder: Path, exchange: Exchange | None = None
) -> Cached:
    """Each film as it is, then the views of the training films; computed once."""
    count = len(films.dataset)
    learned = np.flatnonzero(~films.held_out & (np.arange(count) < films.children))
    mined = np.array([k for k, sample in enumerate(films.dataset.samples) if sample.columns.get("mined")])
    plan = [(int(k), PLAIN) for k in judged(films)]
    plan += [(int(learned[k]), kind) for k, kind in plan_views(films.dataset.subset(learned.tolist()), recipe)]
    plan += [(int(k), AUGMENTED) for k in mined for _ in range(2 * recipe.finetune.views)]
    if not (folder / "cells.npz").exists():
        write_views(network, films, seen, recipe, folder, plan, exchange)
    with np.load(folder / "cells.npz") as stored:
        weights, opacity = torch.from_numpy(stored["weights"]), torch.from_numpy(stored["opacity"])
    film, kind = np.array(plan).T
    return Cached(np.load(folder / "inputs.npy", mmap_mode="r"), weights, opacity, film, kind)


def judged(films: Films) -> NDArray[np.int64]:
    """The films read as they are: those held out, and all adults."""
    return np.flatnonzero(films.held_out | (np.arange(len(films.dataset)) >= films.children))


@torch.inference_mode()
def write_views(
    network: Classifier,
    films: Films,
    seen: str,
    recipe: Recipe,
    folder: Path,
    plan: list[tuple[int, int]],
    exchange: Exchange | None,
) -> None:
    """The frozen blocks' activations of every view, in half precision; `exchange` changes films that are augmented."""
    folder.mkdir(parents=True, exist_ok=True)
    crop = LungCrop(recipe.model.lung_crop, CELLS)
    frozen = fuse_batchnorm(nn.Sequential(*list(network.features.children())[:FROZEN])).to(
        memory_format=torch.channels_last
    )  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(0)
    weights, opacity = torch.zeros(len(plan), CELLS, CELLS), torch.zeros(len(plan), CELLS, CELLS)
    inputs = np.lib.format.open_memmap(folder / "inputs.npy", "w+", np.float16, (len(plan), 32, 2 * CELLS, 2 * CELLS))
    kinds = np.array([kind for _, kind in plan])
    batches = [
        rows
        for kind in np.unique(kinds)
        for rows in np.array_split(np.flatnonzero(kinds == kind), (kinds == kind).sum() // 48 + 1)
    ]
    for rows in track(batches, f"views, {seen}", len(batches)):
        pixels = films.squares[[plan[k][0] for k in rows]][:, None].float()
        if exchange and kinds[rows[0]] != PLAIN:
            other = films.squares[[plan[k][0] for k in rows[torch.randperm(len(rows), generator=generator).numpy()]]][
                :, None
            ].float()
            pixels = exchange(pixels, other, generator)
        found, weights[rows], opacity[rows] = view(crop, pixels, seen, kinds[rows[0]], recipe, generator)
        with torch.autocast("cpu", torch.bfloat16):
            inputs[rows] = frozen(network.normalise(found)).half().numpy()
    np.savez(folder / "cells.npz", weights=weights.numpy(), opacity=opacity.numpy())


def view(
    crop: LungCrop, films: Tensor, seen: str, kind: int, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """The backbone's input, the weight of each cell, and the painted share of each."""
    lungs = crop.lungs(films)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(films), 4) if seen == "whole" else crop.box(lungs)
    opacity, dilation = torch.zeros(len(films), 1, CELLS, CELLS), 3
    if kind == PLAIN:
        pixels = resample(films[:, 0], boxes, crop.centers)[:, None]
        mask = resample(lungs[:, 0], boxes, crop.mask_centers)[:, None]
    else:
        draw, size = Draw(len(films), generator), len(crop.centers)
        pixels, inside, opacity = draw_acquisition(films, lungs, boxes, size, recipe.augment, draw, kind == PAINTED)
        mask, dilation = F.avg_pool2d(inside, size // MASK_CELLS), DILATIONS[int(draw.one() * len(DILATIONS))]
    mask = mask if seen == "blank" else torch.ones_like(mask)
    standardised, weights = standardise(pixels, mask, CELLS, dilation)
    return standardised, weights, F.adaptive_avg_pool2d(opacity, CELLS)[:, 0]


class Upper(nn.Module):
    """The blocks that train, and the head."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*list(network.features.children())[FROZEN:])
        self.head = network.head
        self.local = network.crop is not None and network.crop.cells == CELLS

    def forward(self, inputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n,), evidence of each cell (n, c, c)."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            found = self.blocks(inputs.contiguous(memory_format=torch.channels_last))
        pooled = self.head.pool(found.float(), weights if self.local else None)
        return self.head(pooled)[:, 0], self.head.map(found.float())[:, 0]


def compare(row: str, network: Classifier, films: Films, views: Cached, steps: int, seed: int) -> str:
    """Train the row's networks and say what they reach."""
    if row != "+ adults":
        upper = train(network, films, views, learned_views(films, views), steps, seed, cells=row == "+ cells")
        logits, maps = answer(upper, views, films)
        return figures(row, films, views, logits[None], logits, maps)
    patients = np.array([hash_fold(sample.patient or "") for sample in films.dataset.samples])
    adults = np.arange(len(films.dataset)) >= films.children
    all_logits, judged, judged_maps = [], np.zeros(len(films.dataset)), torch.zeros(len(films.dataset), CELLS, CELLS)
    for part in range(3):
        rows = learned_views(films, views, adults=adults & (patients != part))
        upper = train(copy.deepcopy(network), films, views, rows, steps, seed, cells=True)
        logits, maps = answer(upper, views, films)
        all_logits.append(logits)
        of_part = adults & (patients == part)
        judged[of_part], judged_maps[of_part] = logits[of_part], maps[of_part]
    return figures(row, films, views, np.stack(all_logits), judged, judged_maps)


def hash_fold(patient: str) -> int:
    """One of three folds, by name alone."""
    return int.from_bytes(patient.encode()[-4:]) * 2654435761 % 2**32 % 3


def learned_views(films: Films, views: Cached, adults: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Augmented views of the training films, and of these adults by their text-mined label."""
    chosen = views.kind != PLAIN
    grown = views.film >= films.children
    return np.flatnonzero(chosen & (~grown if adults is None else ~grown | adults[views.film]))


def view_labels(films: Films, views: Cached, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    mined = np.array(
        [int(sample.columns["mined"]) if sample.columns.get("mined") else -1 for sample in films.dataset.samples]
    )
    own = np.where(mined >= 0, mined, films.labels())[views.film[rows]]
    return np.where(views.kind[rows] == PAINTED, 1, own)


def train(
    network: Classifier,
    films: Films,
    views: Cached,
    rows: NDArray[np.int64],
    steps: int,
    seed: int,
    cells: bool,
    rate: float = RATE,
    frozen: int = 0,
    swa: bool = False,
) -> Upper:
    """AdamW, one cycle, half of each batch normal; the weights' moving average, or with `swa` that of the second half.

    The first `frozen` of the blocks stay as they are.
    """
    upper = Upper(network).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    still = upper.blocks[:frozen].requires_grad_(False).eval()
    assert isinstance(still, nn.Sequential)
    average, generator = copy.deepcopy(upper), np.random.default_rng(seed)
    learned = [one for one in upper.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    labels = view_labels(films, views, rows)
    sides = [rows[labels == 0], rows[labels == 1]]
    target = torch.cat([torch.zeros(BATCH // 2), torch.ones(BATCH // 2)])
    for step in track(range(steps), "training", steps):
        drawn = np.concatenate([generator.choice(side, BATCH // 2) for side in sides])
        weights = views.weights[drawn]
        logits, evidence = upper(torch.from_numpy(views.inputs[drawn].astype(np.float32)), weights)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        if cells:
            known = torch.from_numpy((target.numpy() == 0) | (views.kind[drawn] == PAINTED))
            truth = (views.opacity[drawn] > OPACITY).float()
            each = (F.binary_cross_entropy_with_logits(evidence, truth, reduction="none") * weights).sum((1, 2))
            loss = loss + CELL_LOSS * each[known].mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        after = max(0, step - steps // 2)
        blend(average, upper, 1 / (after + 1) if swa else 1 - min(0.99, (step + 1) / (step + 10)))
    average.eval()
    return average


@torch.no_grad()
def blend(average: Upper, new: Upper, share: float) -> None:
    """Move the weights of `average` by this share towards those of `new`."""
    for kept, other in zip(average.state_dict().values(), new.state_dict().values(), strict=True):
        kept.copy_(kept.lerp(other, share) if kept.is_floating_point() else other)


@torch.inference_mode()
def answer(upper: Upper, views: Cached, films: Films) -> tuple[NDArray[np.float64], Tensor]:
    """Logits (n,) and maps (n, c, c) of the films as they are; zeros for those that are not judged."""
    rows = np.flatnonzero(views.kind == PLAIN)
    logits, maps = np.zeros(len(films.dataset)), torch.zeros(len(films.dataset), CELLS, CELLS)
    for k in range(0, len(rows), 96):
        some = rows[k : k + 96]
        found, evidence = upper(torch.from_numpy(views.inputs[some].astype(np.float32)), views.weights[some])
        logits[views.film[some]] = found.numpy()
        maps[views.film[some]] = F.interpolate(evidence[:, None], (CELLS, CELLS))[:, 0]
    return logits, maps


def figures(
    row: str, films: Films, views: Cached, logits: NDArray[np.float64], judged: NDArray[np.float64], maps: Tensor
) -> str:
    """AUROC held out, on the flat block, on adults; maximum in a box."""
    labels, settings = films.labels(), films.settings()
    usual = films.held_out & ((settings == "") | (labels == 1))
    flat = films.held_out & ((settings != "") | (labels == 1))
    parts = [
        f"{name} {np.mean([auroc(labels[chosen] == 1, one[chosen]) for one in logits]):.4f}"
        for name, chosen in (("held out", usual), ("flat", flat))
    ]
    parts.append(f"adults {auroc(labels[films.read] == 1, judged[films.read]):.4f}")
    return "  ".join([*parts, f"in a box {pointing(films, views, maps, row == 'whole'):.3f} of {len(films.boxes)}"])


def pointing(films: Films, views: Cached, maps: Tensor, whole: bool) -> float:
    """The share of films whose map, weighted by cell, has its maximum inside a box."""
    crop, hits = LungCrop(192, CELLS), []
    plain = np.flatnonzero(views.kind == PLAIN)
    weights = dict(zip(views.film[plain].tolist(), views.weights[plain], strict=True))
    for number, lesion in films.boxes.items():
        film = films.squares[number][None, None].float()
        box = torch.tensor([[0.0, 0.0, 1.0, 1.0]]) if whole else crop.box(crop.lungs(film))
        weighted = (maps[number] * weights[number])[None, None]
        on_film = F.interpolate(crop.on_film(weighted, box), lesion.shape, mode="bilinear", align_corners=False)[0, 0]
        hits.append(bool(lesion.flat[int(on_film.argmax())]))
    return float(np.mean(hits))


if __name__ == "__main__":
    main()
