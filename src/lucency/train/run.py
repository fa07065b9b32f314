"""One training run, read top to bottom."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from lucency.data.dataset import Dataset
from lucency.data.imbalance import table
from lucency.data.splits import split_hash, train_val_split
from lucency.errors import UsageError
from lucency.models import Classifier, build
from lucency.models.memory import keep_freed_memory
from lucency.models.run import open_run
from lucency.recipe import DataSettings, Recipe
from lucency.train.history import write_history
from lucency.train.phases import Lesson, fine_tune, fit_head
from lucency.train.plan import CARD, PLAN, Plan, begin
from lucency.train.save import save
from lucency.train.step import Row
from lucency.train.teachers import SEEDS_APART
from lucency.train.team import decided, first, require_shared, size


def train_run(recipe: Recipe, films: Dataset, out: Path, cache: Path, resume: bool = False) -> str:
    """Train by a recipe and leave a run: weights, card, history, plan, checkpoints.

    Args:
        recipe: every choice.
        films: what to learn from; those that the source calls `test` take no part.
        out: folder of the run; new or empty, or an unfinished run where `resume` is set.
        cache: folder of the feature cache.
        resume: go on from the last whole epoch, to the same result as without the stop.

    Returns:
        a line for a person: what was learned and where it is.

    Raises:
        UsageError: the recipe swaps something between two classes, and the films have more.
        SourceError, RecipeError, WeightsError, TrainingError, OutputError: what to do is in the message.
    """
    start = time.monotonic()
    keep_freed_memory()
    require_two_classes(recipe, films)
    learn, judge, how = train_val_split(films, recipe.data)
    plan = Plan.of(recipe, split_hash(learn, range(len(learn))), split_hash(judge, range(len(judge))), size())
    torch.manual_seed(recipe.seed)
    classifier = build(recipe.model, 1 if films.task == "binary" else len(films.labels))
    if decided(
        lambda: begin(out, plan, resume)
    ):  # after the weights were found: what cannot start leaves no folder behind
        return f"{out}: finished already"
    require_shared(out / PLAN)
    if first():
        print(f"{table(learn)}\n{len(judge)} further films choose the checkpoint: {how}", file=sys.stderr)

    teachers = [taught(recipe, number, films, out, cache) for number in range(1, recipe.tune.teachers + 1)]
    lesson = Lesson(learn, judge, recipe, misled(learn, recipe.data), teachers)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    phases: dict[str, list[Row]] = {}
    if recipe.head.epochs:
        phases["head"] = fit_head(classifier, lesson, out, cache)
    if recipe.tune.epochs:
        phases["tune"] = fine_tune(classifier, lesson, out)
    if first():
        write_history(phases, out)
        save(out, classifier, recipe, learn, judge, how, minutes=(time.monotonic() - start) / 60)
    rows = list(phases.values())[-1]
    kept = rows[-1] if recipe.tune.epochs and recipe.tune.wise_ft < 1 else max(rows, key=lambda row: row["val_auroc"])
    return f"{out}: trained; validation AUROC {kept['val_auroc']:.4f} on {len(judge)} films that chose the checkpoint"


def taught(recipe: Recipe, number: int, films: Dataset, out: Path, cache: Path) -> Classifier:
    """A teacher: the recipe by another seed, trained on the same films, or gone on with; in evaluation mode."""
    seed, place = recipe.seed + number * SEEDS_APART, out / "teachers" / str(number)
    own = recipe.model_copy(update={"seed": seed, "tune": recipe.tune.model_copy(update={"teachers": 0})})
    if first():
        print(f"teacher {number} of {recipe.tune.teachers}", file=sys.stderr)
    train_run(own, films, place, cache, resume=place.exists())
    require_shared(place / CARD)
    return open_run(place).classifier


def require_two_classes(recipe: Recipe, films: Dataset) -> None:
    """Raise UsageError where a recipe asks for what only two classes have, before anything is done."""
    if films.task != "binary" and (recipe.augment.reacquire or asks_for_misled(recipe.data)):
        raise UsageError(
            f"{recipe.name}: [augment] reacquire, [data] misled and group_dro swap or tell between two classes, "
            f"came a {films.task} task of {len(films.labels)}; leave them out"
        )


def misled(learn: Dataset, settings: DataSettings) -> frozenset[str]:
    """Names of the films whose acquisition points to another class, where the recipe asks for them."""
    if not asks_for_misled(settings):
        return frozenset()
    from lucency.data import cues  # scikit-learn: a third of a second that only those who ask should pay

    return cues.misled(learn)


def asks_for_misled(settings: DataSettings) -> bool:
    """Whether a recipe needs to know the films that acquisition misleads."""
    return settings.misled != 1 or settings.imbalance == "group_dro"
