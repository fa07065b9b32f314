"""Cached views: activations of the backbone's frozen blocks for several augmentations of each film.

The frozen blocks never change, so their activations for a fixed number of views of each film are cached on disk in half
precision, and the trained blocks read them. Films of rarer classes, and of a rare acquisition, get more views, so that
an epoch over all views is balanced. Views of a film do not depend on the fold.

A folder of the cache holds shards: arrays of views, each with a table of the films they are of. Missing views are
computed and written as a new shard, atomically.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency.data.dataset import Dataset, decode_each, preprocess_of, require_readable
from lucency.errors import FilmError, OutputError
from lucency.files import locked
from lucency.models import Classifier, blocks
from lucency.models.classifier import fuse_batchnorm
from lucency.models.lung_crop import LungCrop
from lucency.progress import track
from lucency.recipe import Recipe
from lucency.train.augment import augment_pictures, planes_of
from lucency.train.features import content_hash
from lucency.train.lung_augment import LEAST_CELL, View, augment_lungs

BATCH = 48
SHARD = 8192
"""Views of whole pictures in a shard: an interrupted run loses no more. Views of lungs are one shard."""
PLAIN, AUGMENTED, PAINTED = 0, 1, 2
"""Kinds of view: unchanged, as in validation and reading; augmented; augmented with a painted opacity."""
VERSION = 2
"""Of the augmentation and of the cells' weights: views of another version are computed again."""


@dataclass(frozen=True)
class Views:
    """Views of films, in an order fixed by films and recipe."""

    inputs: Sequence[NDArray[np.float16]]
    """Shards, each (m, k, h, w): activations; of lungs (m, k + 2, h, w), as `pack` adds what is known of each cell."""
    index: NDArray[np.int64]
    """(v, 2): shard and row of each view."""
    labels: NDArray[np.int64]
    """(v,), of the film; 1 where an opacity was painted."""
    unreadable: tuple[FilmError, ...] = ()

    device = torch.device("cpu")
    """The views' device."""

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: Tensor) -> Tensor:
        """float32 (b, k, h, w), of lungs (b, k + 2, h, w)."""
        rows = self.index[chosen.numpy()]
        return torch.from_numpy(np.stack([self.inputs[shard][row] for shard, row in rows]).astype(np.float32))


def plan_views(films: Dataset, recipe: Recipe) -> list[tuple[int, int]]:
    """The views of an epoch: (film, kind) for each.

    A film of the largest class has `finetune.views` augmented views, one of a smaller class as many more as balance the
    classes, one of a rare acquisition `data.rare_weight` times as many, but none more than `finetune.max_views`. Normal
    films get painted views until these are the share `augment.opacities` of all.
    """
    labels = films.label_array()
    counts = np.bincount(labels)
    rare = np.array([recipe.data.rare_weight if sample.columns.get("setting") else 1.0 for sample in films.samples])
    wanted = np.rint(recipe.finetune.views * counts.max() / counts[labels] * rare).astype(int)
    wanted = np.minimum(wanted, recipe.finetune.max_views or wanted.max())
    augmented = [(film, AUGMENTED) for film, count in enumerate(wanted) for _ in range(count)]
    if not recipe.augment.opacities:
        return augmented
    share = recipe.augment.opacities / (1 - recipe.augment.opacities)
    painted = np.rint(rare * share * wanted.sum() / rare[labels == 0].sum()).astype(int)
    normal = np.flatnonzero(labels == 0).tolist()
    return augmented + [(film, PAINTED) for film in normal for _ in range(painted[film])]


def planned_labels(films: Dataset, plan: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """The label of each view of a plan: the film's, or 1 where an opacity is painted."""
    labels = films.label_array()
    return np.array([1 if kind == PAINTED else labels[film] for film, kind in plan], dtype=np.int64)


class ViewNetwork(nn.Module):
    """The blocks that train, and the head, on cached views; shares the classifier's weights."""

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks(classifier)[len(frozen_blocks(classifier, recipe)) :])
        self.head = classifier.head
        self.cells = classifier.crop and classifier.crop.cells

    def forward(self, inputs: Tensor) -> Tensor:
        """Views, as `Views` gives them → logits (n, findings)."""
        return self.forward_all(inputs)[0]

    def forward_all(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, the evidence of each cell (n, findings, c, c), and the head's input (n, k)."""
        activations, weights = unpack(inputs, self.cells)[:2] if self.cells else (inputs, None)
        found = self.blocks(activations.contiguous(memory_format=torch.channels_last))
        pooled = self.head.pool(found, weights)
        return self.head(pooled), self.head.map(found), pooled


def cached_views(classifier: Classifier, films: Dataset, recipe: Recipe, cache: Path, augmented: bool) -> Views:
    """The views of a training epoch, or each film once as it is.

    Args:
        classifier: its frozen blocks are run in evaluation mode.
        films: of one class each.
        recipe: number of views, augmentation, frozen blocks.
        cache: folder of the cache.
        augmented: the plan of `plan_views`; otherwise one plain view of each film.

    Raises:
        OutputError: the cache cannot be written.
        SourceError: no film can be read.
    """
    plan = plan_views(films, recipe) if augmented else [(film, PLAIN) for film in range(len(films))]
    folder = cache / f"views-{_digest(classifier, recipe)[:16]}"
    keys = [content_hash(sample) for sample in track(films.samples, "hashing films")]
    wanted = _numbered(plan, keys)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, wait=True):  # folds that train at the same time want the same views
            views = [(*view, key) for view, key in zip(plan, wanted, strict=True)]
            unreadable = _add_missing(folder, classifier, films, recipe, views)
            stored = _stored(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{folder}: the views cannot be written ({reason}); choose another with --cache") from error
    found = [number for number, key in enumerate(wanted) if key in stored]
    shards = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
    require_readable(films, len(found), list(unreadable.values()))
    return Views(
        shards,
        np.array([stored[wanted[k]] for k in found], dtype=np.int64).reshape(-1, 2),
        planned_labels(films, [plan[k] for k in found]),
        tuple(unreadable.values()),
    )


def _numbered(plan: Sequence[tuple[int, int]], keys: Sequence[str]) -> list[str]:
    """A key for each view: the film's content, the kind, and which of its kind."""
    count: dict[tuple[int, int], int] = {}
    found = []
    for view in plan:
        count[view] = count.get(view, 0) + 1
        found.append(f"{keys[view[0]]}:{view[1]}:{count[view]}")
    return found


def _stored(folder: Path) -> dict[str, tuple[int, int]]:
    """Key of each view in the cache → its shard and row."""
    found: dict[str, tuple[int, int]] = {}
    for shard, path in enumerate(sorted(folder.glob("*.npy"))):
        for row, key in enumerate(json.loads(path.with_suffix(".json").read_text())):
            found[key] = (shard, row)
    return found


def _digest(classifier: Classifier, recipe: Recipe) -> str:
    """SHA-256 over all that views depend on: frozen blocks, segmenter, augmentation."""
    fixed = [frozen_blocks(classifier, recipe)] + ([classifier.crop] if classifier.crop else [])
    settings = recipe.augment.model_dump_json() + recipe.data.model_dump_json(include={"image_size", "resize_mode"})
    if classifier.crop is not None:
        settings += str(LEAST_CELL)
    else:
        settings += recipe.data.modality + recipe.model.model_dump_json(include={"backbone", "stride"})
    digest = hashlib.sha256(f"{VERSION} {settings} {recipe.finetune.unfreeze_blocks}".encode())
    for name, value in nn.ModuleList(fixed).state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def frozen_blocks(classifier: Classifier, recipe: Recipe) -> nn.Sequential:
    """The backbone's blocks that do not train."""
    parts = blocks(classifier)
    count = recipe.finetune.unfreeze_blocks
    return nn.Sequential(*parts[: 0 if count == "all" else max(0, len(parts) - count)])


def _add_missing(
    folder: Path, classifier: Classifier, films: Dataset, recipe: Recipe, views: Sequence[tuple[int, int, str]]
) -> dict[int, FilmError]:
    """Compute those views (film, kind, key) that are not in the cache; returns why films cannot be read."""
    stored, unreadable = _stored(folder), dict[int, FilmError]()
    missing = [view for view in views if view[2] not in stored]
    size = SHARD if classifier.crop is None else max(1, len(missing))
    for start in range(0, len(missing), size):
        doing = f"views, once, part {start // size + 1} of {-(-len(missing) // size)}"
        unreadable |= _add_shard(folder, classifier, films, recipe, missing[start : start + size], doing)
    return unreadable


def _add_shard(
    folder: Path,
    classifier: Classifier,
    films: Dataset,
    recipe: Recipe,
    views: Sequence[tuple[int, int, str]],
    doing: str,
) -> dict[int, FilmError]:
    """Compute views (film, kind, key) and write them as a new shard; returns why films cannot be read."""
    number = len(list(folder.glob("*.npy")))
    chosen = sorted({film for film, _, _ in views})
    canvas = classifier.crop is None and views[0][1] != PLAIN
    decoded = dict(zip(chosen, _decode(films.subset(chosen), recipe, canvas), strict=True))
    errors = {film: outcome for film, outcome in decoded.items() if isinstance(outcome, FilmError)}
    squares = [outcome for outcome in decoded.values() if not isinstance(outcome, FilmError)]
    if not squares:
        return errors
    place = {film: k for k, film in enumerate(film for film in chosen if film not in errors)}
    readable = [view for view in views if view[0] in place]
    order = np.random.default_rng((VERSION, number)).permutation(len(readable))
    rows = [(place[readable[k][0]], readable[k][1]) for k in order]
    draft = folder / f"{number:04d}.draft"
    _write(draft, classifier, torch.from_numpy(np.stack(squares)), rows, recipe, number, doing)
    (folder / f"{number:04d}.json").write_text(json.dumps([readable[k][2] for k in order]))
    draft.rename(folder / f"{number:04d}.npy")
    return errors


def _decode(films: Dataset, recipe: Recipe, canvas: bool) -> list[NDArray[np.uint8] | FilmError]:
    """Films as squares of the network's side or of the canvas, to be augmented."""
    preprocess = preprocess_of(recipe.data)
    if canvas:
        preprocess = replace(preprocess, image_size=recipe.augment.canvas or preprocess.image_size)
    return list(track(decode_each(films, preprocess), "decoding films", len(films)))


@torch.inference_mode()
def _write(
    draft: Path,
    classifier: Classifier,
    squares: Tensor,
    rows: Sequence[tuple[int, int]],
    recipe: Recipe,
    number: int,
    doing: str,
) -> None:
    frozen = fuse_batchnorm(frozen_blocks(classifier, recipe)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(VERSION * 1_000_003 + number)
    stored: Any = None
    batches = list(_batches(rows))
    for kind, batch in track(batches, doing, len(rows), lambda done: len(done[1])):
        films = squares[[rows[k][0] for k in batch]]
        view = None if classifier.crop is None else _lung_view(classifier.crop, films, kind, recipe, generator)
        pixels = _picture_view(films, kind, recipe, generator) if view is None else view.pixels
        with torch.autocast("cpu", torch.bfloat16, enabled=kind != PLAIN):
            activations = frozen(classifier.normalise(pixels)).float()
        packed = activations if view is None else pack(activations, view)
        if stored is None:
            stored = open_memmap(draft, "w+", np.float16, (len(rows), *packed.shape[1:]))
        stored[batch] = packed.half().numpy()
    stored.flush()


def _picture_view(films: Tensor, kind: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """uint8 (b, s, s), in colour (b, s, s, 3) → float32 (b, channels, side, side)."""
    if kind == PLAIN:
        return planes_of(films).float()
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return augment_pictures(films, recipe.augment, recipe.data.image_size, np.random.default_rng(seed))


def _lung_view(crop: LungCrop, films: Tensor, kind: int, recipe: Recipe, generator: torch.Generator) -> View:
    films = films[:, None].float()
    if kind == PLAIN:
        found = crop(films, (1.0,))
        return View(found.pixels, found.weights, torch.zeros_like(found.weights))
    lungs = crop.lungs(films)
    size = len(crop.centers)
    return augment_lungs(
        films, lungs, crop.box(lungs), size, crop.cells, recipe.augment, generator, paint=kind == PAINTED
    )


def pack(activations: Tensor, view: View) -> Tensor:
    """Activations (n, k, h, w) with cell weights and painted shares as two more channels, (n, k + 2, h, w)."""
    repeat = activations.shape[-1] // view.cells.shape[-1]
    more = torch.stack([view.cells, view.opacity], 1)
    return torch.cat([activations, more.repeat_interleave(repeat, 2).repeat_interleave(repeat, 3)], 1)


def unpack(inputs: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """The inverse of `pack`: activations (n, k, h, w), weights (n, cells, cells), painted (n, cells, cells)."""
    step = inputs.shape[-1] // cells
    return inputs[:, :-2], inputs[:, -2, ::step, ::step], inputs[:, -1, ::step, ::step]


def _batches(rows: Sequence[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """Kind and rows of each batch: views of one kind together."""
    for kind in sorted({kind for _, kind in rows}):
        of_kind = [k for k, row in enumerate(rows) if row[1] == kind]
        for start in range(0, len(of_kind), BATCH):
            yield kind, of_kind[start : start + BATCH]
