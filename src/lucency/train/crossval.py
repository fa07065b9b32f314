"""Cross-validation by patient: every film is judged once, by a run that never saw its patient."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lucency import __version__
from lucency.data.dataset import Dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.evaluate import Report, judge, write_report
from lucency.evaluate.predictions import concatenated
from lucency.reader import Reader
from lucency.reader.predict import predict
from lucency.recipe import Recipe
from lucency.train.run import train_run


def cross_validate(
    recipe: Recipe, films: Dataset, folds: int, out: Path, cache: Path, resume: bool = False, seeds: bool = False
) -> tuple[Report, dict[str, Any]]:
    """Train once a fold on the other folds, judge the fold, and pool the answers over all folds.

    The films that choose a fold's checkpoint are set aside from its training patients: the fold itself decides
    nothing and is met once. The threshold is 0.5, fixed beforehand.

    Args:
        recipe: every choice.
        films: what to learn from and judge on; those that the source calls `test` take no part.
        folds: how many.
        out: folder that gets `fold-1` … and the pooled report.
        cache: folder of the feature cache, shared by the folds.
        resume: keep finished folds, go on with the others.
        seeds: each fold is trained with a seed of its own, counted up from the recipe's: what is pooled then holds over
            seeds as well as patients.

    Returns:
        the pooled judgement, and what it is of, as in report.json.
    """
    here = films.subset([index for index, record in enumerate(films.samples) if record.split != "test"])
    here.require_trainable()
    parts = []
    for number, (rest, held) in enumerate(stratified_group_kfold(here, folds, SPLIT_SEED), 1):
        run = out / f"fold-{number}"
        own = recipe.model_copy(update={"seed": recipe.seed + number - 1}) if seeds else recipe
        done = train_run(own, here.subset(rest), run, cache, resume and run.exists())
        print(f"fold {number} of {folds}: {done}", file=sys.stderr)
        parts.append(predict(Reader.open(run), here.subset(held)))
    pooled = concatenated([part.predictions for part in parts])
    report = judge(pooled)
    about = {
        "lucency": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "data": here.source,
        "split": f"{folds}-fold cross-validation by patient" + (", each fold by a seed of its own" if seeds else ""),
        "threshold_chosen_by": "fixed beforehand",
        "unread": [str(error) for part in parts for error in part.unreadable],
    }
    write_report(report, pooled, out, about)
    return report, about
