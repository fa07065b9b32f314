"""The score of a recipe, fixed before any search: how well it reads held-out patients, as they are and re-acquired."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lucency.data.acquisition_pairs import Squares, squares_of
from lucency.data.dataset import Dataset
from lucency.data.splits import Fold
from lucency.reader import Reader
from lucency.recipe import Recipe
from lucency.shift.judge import PLAIN, TOGETHER, condition_metrics, score_conditions
from lucency.train import train_run

SCORE = (
    "mean over folds by patient of (AUROC + AUROC under counterfactual acquisition) / 2; "
    "donors of the other class, every part, seed 0"
)
"""In words; a search that was begun with another score is not gone on with."""


@dataclass(frozen=True)
class Judged:
    """One fold of one recipe."""

    plain: float
    """AUROC on the fold's films."""
    moved: float
    """AUROC on the same films, re-acquired."""
    minutes: float
    """Training and judging."""

    @property
    def score(self) -> float:
        """What the search makes large."""
        return (self.plain + self.moved) / 2


@dataclass(frozen=True)
class Part:
    """A fold, its films decoded and measured once for all trials."""

    fold: Fold
    rest: Dataset
    held: Squares


def parts_of(films: Dataset, folds: int, used: int, aspects: Mapping[str, float]) -> list[Part]:
    """The first `used` of `folds` folds by patient.

    Raises:
        SourceError: a class has fewer patients than there are folds.
    """
    found = []
    for fold in (Fold(number, folds) for number in range(1, used + 1)):
        rest, held = fold.split(films)
        found.append(Part(fold, rest, squares_of(held, aspects)))
    return found


def judge(recipe: Recipe, part: Part, out: Path, cache: Path) -> Judged:
    """Train on the other folds and judge this one; goes on where a stopped training was.

    Raises:
        TrainingError: the loss is no longer a number.
        UsageError: the network cannot be built as the recipe says.
        WeightsError: the pretrained weights are not of that network.
    """
    start = time.monotonic()
    run = out / f"fold-{part.fold.number}"
    train_run(recipe, part.rest, run, cache, resume=run.exists())
    (answers,) = score_conditions([Reader.open(run)], part.held, "other", 0, (TOGETHER,))
    found = {one.condition: one.auroc for one in condition_metrics(answers, part.held.films.label_array(), 0.5)}
    for checkpoints in [*run.rglob("checkpoints")]:  # ten times the weights, and of no more use
        shutil.rmtree(checkpoints, ignore_errors=True)
    return Judged(found[PLAIN], found[TOGETHER], (time.monotonic() - start) / 60)
