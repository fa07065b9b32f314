"""A cross-validated run: several readers of one recipe, each of which judged the films of patients it never saw."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from lucency.bundle import Card, open_bundle
from lucency.data import Dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.reader import Reader

LIMIT = (
    "Judged by cross-validation: {folds} readers of one recipe, each on films of patients that it never saw. A reader "
    "that learned from all films is another, and was not judged here."
)


def folds_of(run: Path) -> tuple[Path, ...]:
    """The finished folds of a cross-validated run in order; empty for any other run or bundle."""
    if (run / "card.json").is_file():
        return ()
    numbers = range(1, 1 + len(list(run.glob("fold-*"))))
    return tuple(run / f"fold-{number}" for number in numbers if (run / f"fold-{number}" / "card.json").is_file())


def card_of(folds: tuple[Path, ...]) -> tuple[Card, str]:
    """The first fold's card with what holds of all of them, and the folds' digests.

    Raises:
        BundleError: a fold is broken.
    """
    bundles = [open_bundle(fold) for fold in folds]
    card = bundles[0].card
    limits = (*card.limits, LIMIT.format(folds=len(folds)))
    return card.model_copy(update={"limits": limits}), ", ".join(bundle.digest[:16] for bundle in bundles)


def reader_of_film(folds: tuple[Path, ...], films: Dataset) -> Callable[[str], Reader]:
    """Film name -> the reader that judged it; a reader is opened when it is first asked for.

    Args:
        folds: of one run.
        films: those that the run was trained on, as they were then.
    """
    here = films.subset([index for index, record in enumerate(films.samples) if record.split != "test"])
    judged_by = {
        here.samples[index].name: fold
        for fold, (_, held) in zip(folds, stratified_group_kfold(here, len(folds), SPLIT_SEED), strict=True)
        for index in held
    }
    opened = cache(Reader.open)
    return lambda name: opened(judged_by[name])
