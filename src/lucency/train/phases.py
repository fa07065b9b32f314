"""The two phases: the head on cached features of the frozen backbone, then the backbone with small steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lucency.data.acquisition import SIDE
from lucency.data.dataset import Dataset
from lucency.data.decode import Decoded, decode_canvases, decode_squares, report_skipped
from lucency.data.donors import measured
from lucency.data.imbalance import class_weights
from lucency.models import Classifier, blocks, channels
from lucency.models.frame import Frame
from lucency.preprocess import Preprocess, resize
from lucency.recipe import FitSettings, ModelSettings, Recipe, TuneSettings
from lucency.train.adversary import Adversary
from lucency.train.average import go_back
from lucency.train.batches import Examples, judging_batches, training_batches
from lucency.train.features import pooled_features
from lucency.train.fit import fit
from lucency.train.framing import cut, frames
from lucency.train.objective import Extra, GroupDRO, Mean, Objective, Sparse
from lucency.train.seen.films import Gallery
from lucency.train.step import Row, Step
from lucency.train.teachers import Teachers
from lucency.train.team import device, own_batch, own_folder, own_part, own_patients, own_seed, together


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn: the same in both phases."""

    learn: Dataset
    """To learn from."""
    judge: Dataset
    """That choose the checkpoint."""
    recipe: Recipe
    misled: frozenset[str] = frozenset()
    """Names of the films whose acquisition points to another class; empty where the recipe does not ask."""
    teachers: Sequence[Classifier] = ()
    """Networks whose answers fine-tuning learns too."""

    def marked(self, films: Dataset) -> NDArray[np.bool_]:
        """Which of n films are misled, bool (n,)."""
        return np.array([record.name in self.misled for record in films.samples], dtype=np.bool_)


def fit_head(classifier: Classifier, lesson: Lesson, out: Path, cache: Path) -> list[Row]:
    """Fit the head on features of the frozen backbone, computed once; the classifier holds the best head afterwards."""
    recipe = lesson.recipe
    preprocess = Preprocess(image_size=recipe.data.side, resize_mode=recipe.data.fit)
    own = own_patients(lesson.learn), own_part(lesson.judge)
    learned, judged = (pooled_features(classifier, films, preprocess, own_folder(cache)) for films in own)
    report_skipped(together([*learned.unreadable, *judged.unreadable]))
    train = Examples(learned.vectors, learned.films.label_array(), misled=lesson.marked(learned.films))
    val = Examples(judged.vectors, judged.films.label_array())
    batch, seed = own_batch(recipe.head.batch), own_seed(recipe.seed)
    step = Step(
        classifier.head,
        loss(lesson.learn, recipe, recipe.head),
        recipe.head,
        seed,
        lambda epoch: training_batches(train, recipe.data, batch, seed, epoch),
        judging_batches(val, 1024),
    )
    return fit(step, recipe.head, out / "checkpoints" / "head", "head")


def fine_tune(classifier: Classifier, lesson: Lesson, out: Path) -> list[Row]:
    """Fit the head and the thawed blocks on films; the classifier holds the best weights afterwards.

    Returns:
        a row an epoch; one more where the weights then went back some of the way.
    """
    recipe = lesson.recipe
    preprocess = Preprocess(image_size=recipe.data.side, resize_mode=recipe.data.fit)
    learned = decode_canvases(own_patients(lesson.learn), recipe.augment.canvas or recipe.data.side)
    judged = decode_squares(own_part(lesson.judge), preprocess)
    report_skipped(together([*learned.unreadable, *judged.unreadable]))
    train = replace(seen_films(learned, preprocess, recipe), misled=lesson.marked(learned.films))
    val = Examples(judged.pixels, judged.films.label_array(), preprocess)
    if classifier.frame is not None:
        train, val = _framed(classifier.frame, train, val, recipe.model)
    batch, seed = own_batch(recipe.tune.batch), own_seed(recipe.seed)
    start = {name: value.clone() for name, value in classifier.state_dict().items()}
    step = Step(
        classifier.unframed(),
        loss(lesson.learn, recipe, recipe.tune),
        recipe.tune,
        seed,
        lambda epoch: training_batches(train, recipe.data, batch, seed, epoch),
        judging_batches(val, 64),
        keep_still=thaw(classifier, recipe.tune),
        extras=extras(classifier, lesson),
    )
    rows = fit(step, recipe.tune, out / "checkpoints" / "tune", "fine-tuning")
    if recipe.tune.wise_ft == 1:
        return rows
    go_back(classifier, start, recipe.tune.wise_ft)
    return [*rows, step.judge()]


def extras(classifier: Classifier, lesson: Lesson) -> list[Extra]:
    """What fine-tuning asks besides the labels."""
    tune, found = lesson.recipe.tune, list[Extra]()
    if tune.sparse:
        found.append(Sparse(tune.sparse))
    if tune.adversary:
        found.append(Adversary(channels(classifier.features), tune.adversary))
    if lesson.teachers:
        found.append(Teachers([teacher.unframed() for teacher in lesson.teachers], lesson.learn.task))
    return found


def seen_films(decoded: Decoded, preprocess: Preprocess, recipe: Recipe) -> Examples:
    """The films learned from, seen as the recipe says; those to be re-acquired as squares, where the network learns."""
    train = Examples(decoded.pixels, decoded.films.label_array(), preprocess, recipe.augment)
    if not recipe.augment.reacquire:
        return train
    ratios = [gray.shape[1] / gray.shape[0] for gray in decoded.pixels]
    squares = measured(decoded.films, [resize(gray, SIDE) for gray in decoded.pixels], ratios)
    return replace(train, inputs=tuple(squares.pixels), gallery=Gallery.of(squares, device()))


def _framed(frame: Frame, train: Examples, val: Examples, model: ModelSettings) -> tuple[Examples, Examples]:
    """The same films in their frame: the network learns on what it will cut out by itself, or on crops around it."""
    assert train.preprocess is not None
    within = replace(train.preprocess, image_size=model.frame)
    boxes = () if model.within == "middle" else frames(frame, train.inputs, train.preprocess)  # type: ignore[arg-type]
    seen = cut(frame, val.inputs, train.preprocess)  # type: ignore[arg-type]
    return replace(train, preprocess=within, frames=boxes), replace(val, inputs=seen, preprocess=within)


def loss(learn: Dataset, recipe: Recipe, settings: FitSettings) -> Mean | GroupDRO:
    """The loss that answers the imbalance of the films as the recipe says.

    Raises:
        UsageError: groups are asked for of a task with several findings.
    """
    data, weights = recipe.data, None
    if data.imbalance == "class_weights" and learn.task != "multilabel":
        found = class_weights(learn.label_array(), data.class_weights, len(learn.labels))
        weights = torch.tensor(found, dtype=torch.float32)
    gamma = data.focal_gamma if data.imbalance == "focal" else 0.0
    objective = Objective(learn.task, weights, gamma, settings.label_smoothing, data.misled)
    return GroupDRO(objective, 2, data.group_step) if data.imbalance == "group_dro" else Mean(objective)


def thaw(classifier: Classifier, settings: TuneSettings) -> Callable[[], None]:
    """Let the last blocks and the head learn, and nothing else.

    Returns:
        a function to call whenever training mode is switched on: it puts what must not move (frozen blocks, and all
        batch normalisation where its means are to stay those of pretraining) back into evaluation mode.
    """
    parts = blocks(classifier)
    count = len(parts) if settings.blocks == "all" else min(settings.blocks, len(parts))
    frozen = parts[: len(parts) - count]
    classifier.requires_grad_(True)
    for block in frozen:
        block.requires_grad_(False)
    still: list[nn.Module] = list(frozen)
    if settings.batch_norm == "frozen":
        still += [module for module in classifier.features.modules() if isinstance(module, nn.BatchNorm2d)]

    def keep_still() -> None:
        for module in still:
            module.eval()

    return keep_still
