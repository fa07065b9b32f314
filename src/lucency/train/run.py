"""One training run, read top to bottom: the head on features of the frozen backbone, then fine-tuning on films.

`cross_validate` is one run per fold.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency import __version__
from lucency.data.dataset import Dataset, decode_squares, preprocess_of, report_skipped
from lucency.data.imbalance import class_weights, finding_weights, table
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold, train_val_split, without_test
from lucency.errors import RecipeError, UsageError
from lucency.evaluate import Report, evaluate_predictions, write_report
from lucency.evaluate.multiclass import is_ordered
from lucency.evaluate.predictions import concatenate
from lucency.models import Classifier, blocks, build
from lucency.models.run import keep_freed_memory
from lucency.reader import Reader
from lucency.reader.predict import predict
from lucency.recipe import FinetuneSettings, FitSettings, Recipe
from lucency.train import distributed
from lucency.train.cached_views import ViewNetwork, cached_views, plan_views, planned_labels
from lucency.train.dataloader import Examples, train_loader, val_loader
from lucency.train.features import pooled_features
from lucency.train.losses import (
    AuxiliaryLoss,
    LocalLoss,
    MeanLoss,
    Objective,
    SparsityLoss,
)
from lucency.train.manifest import MANIFEST, Manifest, keeps_best, lock_and_claim, save, validation_films
from lucency.train.metrics import Row, write_history
from lucency.train.module import ClassifierModule
from lucency.train.trainer import Watch, fit

WatchPhase = Callable[[str, list[Row]], None]
"""Called after each epoch with the name of the phase and its metrics so far."""


@dataclass(frozen=True)
class TrainingData:
    """The data of both phases."""

    train: Dataset
    val: Dataset
    """Films of validation, by which the best checkpoint is chosen."""
    recipe: Recipe
    watch: WatchPhase | None = None
    """Called after each epoch."""

    def watch_phase(self, name: str) -> Watch | None:
        """`watch` for one phase."""
        return self.watch and partial(self.watch, name)


def train_run(
    recipe: Recipe, films: Dataset, out: Path, cache: Path, resume: bool = False, watch: WatchPhase | None = None
) -> str:
    """Train by a recipe and write a run: weights, card, history, manifest, checkpoints.

    Args:
        recipe: every choice.
        films: to train on; those that the source calls `test` take no part.
        out: folder of the run; new or empty, or an unfinished run where `resume` is set.
        cache: folder of the feature cache.
        resume: continue from the last complete epoch, to the same result as without the stop.
        watch: called after each epoch, to show the course of training.

    Returns:
        one line: the result and where it is.

    Raises:
        UsageError: the recipe's head needs grades, and the films have none.
        SourceError, RecipeError, WeightsError, TrainingError, OutputError: what to do is in the message.
    """
    start = time.monotonic()
    keep_freed_memory()
    require_labels(recipe, films)
    train, val, split = train_val_split(films, recipe.data)
    manifest = Manifest.of(recipe, train, val, distributed.world_size())
    torch.manual_seed(recipe.seed)
    classifier = build(recipe.model, 1 if films.task == "binary" else len(films.labels))
    # Only now, with the pretrained weights loaded: a run that cannot start leaves no folder behind.
    with contextlib.ExitStack() as held:
        if distributed.broadcast_flag(lambda: lock_and_claim(out, manifest, resume, held)):
            return f"{out}: finished already"
        distributed.wait_for_file(out / MANIFEST)
        if distributed.is_main_process():
            print(f"{table(train)}\n{len(val)} further films validate: {split}", file=sys.stderr)
        phases = train_phases(classifier, TrainingData(train, val, recipe, watch), out, cache)
        if distributed.is_main_process():
            write_history(phases, out)
            save(out, classifier, recipe, train, val, split, minutes=(time.monotonic() - start) / 60)
    scores = [row["val_auroc"] for row in list(phases.values())[-1]]
    kept = max(scores) if keeps_best(recipe) else scores[-1]
    return f"{out}: trained; validation AUROC {kept:.4f} on {validation_films(len(val), recipe)}"


def train_phases(classifier: Classifier, data: TrainingData, out: Path, cache: Path) -> dict[str, list[Row]]:
    """Train head and blocks by the recipe; the metrics of each phase, a row per epoch."""
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    phases: dict[str, list[Row]] = {}
    if data.recipe.head.epochs:
        phases["head"] = fit_head(classifier, data, out, cache)
    if data.recipe.finetune.epochs:
        phases["finetune"] = finetune(classifier, data, out, cache)
    return phases


def fit_head(classifier: Classifier, data: TrainingData, out: Path, cache: Path) -> list[Row]:
    """Train the head on cached features of the frozen backbone; the classifier holds the best head afterwards."""
    recipe = data.recipe
    preprocess = preprocess_of(recipe.data)
    shards = distributed.shard_patients(data.train), distributed.shard_films(data.val)
    found, held = (pooled_features(classifier, films, preprocess, distributed.shard_cache(cache)) for films in shards)
    report_skipped(distributed.gather_items([*found.unreadable, *held.unreadable]))
    train = Examples(torch.from_numpy(found.vectors), labels_of(found.films))
    val = Examples(torch.from_numpy(held.vectors), labels_of(held.films))
    batch_size, seed = distributed.shard_batch_size(recipe.head.batch), distributed.shard_seed(recipe.seed)
    module = ClassifierModule(
        classifier.head,
        make_loss(data.train, recipe, recipe.head, data.train.label_array()),
        recipe.head,
        seed,
        lambda epoch: train_loader(train, recipe.data, batch_size, seed, epoch),
        val_loader(val, 1024),
    )
    return fit(module, recipe.head, out / "checkpoints" / "head", "head", data.watch_phase("head"))


def finetune(classifier: Classifier, data: TrainingData, out: Path, cache: Path) -> list[Row]:
    """Train the head and the unfrozen blocks on films; the classifier holds the kept weights afterwards."""
    recipe = data.recipe
    train, val = load_views(classifier, data, cache) if recipe.finetune.views else load_films(classifier, data)
    batch_size, seed = distributed.shard_batch_size(recipe.finetune.batch), distributed.shard_seed(recipe.seed)
    labels = data.train.label_array()
    if recipe.finetune.views:
        labels = planned_labels(data.train, plan_views(data.train, recipe))
    module = ClassifierModule(
        trained_part(classifier, recipe),
        make_loss(data.train, recipe, recipe.finetune, labels),
        recipe.finetune,
        seed,
        lambda epoch: train_loader(train, recipe.data, batch_size, seed, epoch),
        val_loader(val, 64),
        keep_frozen=unfreeze(classifier, recipe.finetune),
        auxiliary=auxiliary_losses(recipe.finetune),
        mixup=recipe.finetune.mixup,
    )
    folder = out / "checkpoints" / "finetune"
    return fit(module, recipe.finetune, folder, "fine-tuning", data.watch_phase("finetune"))


def load_films(classifier: Classifier, data: TrainingData) -> tuple[Examples, Examples]:
    """Decode the films of both splits once; training films stay on the device, at the size of the canvas."""
    recipe = data.recipe
    size, preprocess = recipe.data.image_size, preprocess_of(recipe.data)
    canvas = replace(preprocess, image_size=recipe.augment.canvas or size)
    found = decode_squares(distributed.shard_patients(data.train), canvas)
    held = decode_squares(distributed.shard_films(data.val), preprocess)
    report_skipped(distributed.gather_items([*found.unreadable, *held.unreadable]))
    films, val_films = stack(found.pixels), stack(held.pixels)
    train = Examples(films, labels_of(found.films), size, recipe.augment)
    return replace(train, inputs=films.to(distributed.local_device())), Examples(val_films, labels_of(held.films))


def load_views(classifier: Classifier, data: TrainingData, cache: Path) -> tuple[Examples, Examples]:
    """Augmented views of the training films and plain ones of the validation films, their frozen blocks computed."""
    shards = distributed.shard_patients(data.train), distributed.shard_films(data.val)
    train = cached_views(classifier, shards[0], data.recipe, distributed.shard_cache(cache), augmented=True)
    val = cached_views(classifier, shards[1], data.recipe, distributed.shard_cache(cache), augmented=False)
    report_skipped(distributed.gather_items([*train.unreadable, *val.unreadable]))
    return Examples(train, torch.from_numpy(train.labels)), Examples(val, torch.from_numpy(val.labels))


def trained_part(classifier: Classifier, recipe: Recipe) -> Classifier | ViewNetwork:
    """The trained network: the blocks after the cached views, or the whole network without its crop."""
    return ViewNetwork(classifier, recipe) if recipe.finetune.views else classifier.without_crop()


def stack(films: Sequence[NDArray[np.uint8]]) -> Tensor:
    """uint8 (n, s, s), in colour (n, s, s, 3), of n squares."""
    return torch.from_numpy(np.stack(films))


def labels_of(films: Dataset) -> Tensor:
    """int64 (n,), or (n, labels) for a multilabel task."""
    return torch.from_numpy(films.label_array())


def auxiliary_losses(settings: FinetuneSettings) -> list[AuxiliaryLoss]:
    """The losses that fine-tuning adds to that of the labels."""
    found = list[AuxiliaryLoss]()
    if settings.local:
        found.append(LocalLoss(settings.local))
    if settings.sparse:
        found.append(SparsityLoss(settings.sparse))
    return found


def make_loss(train: Dataset, recipe: Recipe, settings: FitSettings, labels: NDArray[np.int64]) -> MeanLoss:
    """The loss, with the recipe's remedy for class imbalance; `labels` are of all examples of an epoch."""
    data, weights = recipe.data, None
    if data.imbalance == "class_weights":
        weigh = finding_weights if train.task == "multilabel" else class_weights
        found = weigh(labels, data.class_weights, len(train.labels))
        weights = torch.tensor(found, dtype=torch.float32)
    gamma = data.focal_gamma if data.imbalance == "focal" else 0.0
    return MeanLoss(Objective(train.task, weights, gamma, settings.label_smoothing))


def unfreeze(classifier: Classifier, settings: FinetuneSettings) -> Callable[[], None]:
    """Let the last blocks and the head train, and freeze the rest.

    Returns:
        a function to call whenever training mode is switched on: it puts frozen blocks, and all batch normalisation
        where the recipe freezes it, back into evaluation mode.
    """
    parts = blocks(classifier)
    count = len(parts) if settings.unfreeze_blocks == "all" else min(settings.unfreeze_blocks, len(parts))
    frozen: list[nn.Module] = list(parts[: len(parts) - count])
    classifier.requires_grad_(True)
    for block in frozen:
        block.requires_grad_(False)
    if settings.batch_norm == "frozen":
        frozen += [module for module in classifier.features.modules() if isinstance(module, nn.BatchNorm2d)]

    def keep_frozen() -> None:
        for module in frozen:
            module.eval()

    return keep_frozen


def require_labels(recipe: Recipe, films: Dataset) -> None:
    """Refuse labels that the recipe is not for.

    Raises:
        UsageError: an ordinal head for classes that are not grades in order.
        RecipeError: cached views, which balance classes, of films with any number of findings.
    """
    if recipe.finetune.views and films.task == "multilabel":
        findings = ", ".join(films.labels)
        raise RecipeError(
            f"{recipe.name}: [finetune] views needs one class a film, received findings {findings}; set it 0"
        )
    if recipe.model.head == "ordinal" and not (films.task == "multiclass" and is_ordered(films.labels)):
        found = ", ".join(films.labels)
        raise UsageError(f"{recipe.name}: [model] head = 'ordinal' needs grades, such as 0, 1, 2; received {found}")


def cross_validate(
    recipe: Recipe, films: Dataset, folds: int, out: Path, cache: Path, resume: bool = False, seeds: bool = False
) -> tuple[Report, dict[str, Any]]:
    """Train one run per fold on the other folds, evaluate it on the fold, and pool the predictions.

    The films that choose a fold's checkpoint are of its training patients, so the fold itself decides nothing. The
    threshold is fixed at 0.5.

    Args:
        recipe: every choice.
        films: to train and evaluate on; those that the source calls `test` take no part.
        folds: how many.
        out: folder that gets `fold-1` … and the pooled report.
        cache: folder of the feature cache, shared by the folds.
        resume: keep finished folds, continue with the others.
        seeds: each fold has its own seed, counted up from the recipe's, so that pooled results cover seeds too.

    Returns:
        the pooled report, and its context for report.json.
    """
    films = without_test(films)
    films.require_trainable()
    parts = []
    for number, (rest, held) in enumerate(stratified_group_kfold(films, folds, SPLIT_SEED), 1):
        run = out / f"fold-{number}"
        own = recipe.model_copy(update={"seed": recipe.seed + number - 1}) if seeds else recipe
        done = train_run(own, films.subset(rest), run, cache, resume and run.exists())
        print(f"fold {number} of {folds}: {done}", file=sys.stderr)
        parts.append(predict(Reader.open(run), films.subset(held)))
    pooled = concatenate([part.predictions for part in parts])
    report = evaluate_predictions(pooled)
    about = {
        "lucency": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "data": films.source,
        "split": f"{folds}-fold cross-validation by patient" + (", each fold by a seed of its own" if seeds else ""),
        "threshold_chosen_by": "fixed beforehand",
        "unread": [str(error) for part in parts for error in part.unreadable],
    }
    write_report(report, pooled, out, about)
    return report, about
