"""Which films a run has not learned from."""

from __future__ import annotations

from collections.abc import Sequence

from lucency.bundle import Card
from lucency.data.partition import Fold, learn_and_judge
from lucency.data.record import Films
from lucency.data.split import split_hash
from lucency.errors import SourceError
from lucency.recipe import parse_recipe

FOLDS = (5, 3, 10, 2, 4)
"""Numbers of folds that are tried when nothing is said."""


def held_out(card: Card, films: Films, fold: int | None = None, folds: int | None = None) -> tuple[Films, str]:
    """The films that a run has not learned from, and how they were held out, in words.

    A run of cross-validation met none of its fold; any other run met its validation patients only to choose the
    checkpoint. Which of the two it was is told by the hash of the films it learned from.

    Args:
        card: of a run; a bundle's says the same.
        films: those that the run was trained on, as they were then.
        fold: number of the fold that was held out, from 1; None finds out.
        folds: how many there were; None tries FOLDS.

    Raises:
        SourceError: the films are not those it was trained on.
    """
    recipe = parse_recipe(card.training.recipe, f"card of {card.name}")
    if fold is None and folds is None:
        learn, judge, _ = learn_and_judge(films, recipe.data)
        if _learned(card, learn):
            return judge, f"{len(judge)} films of validation patients, who chose the checkpoint"
    counts = FOLDS if folds is None else (folds,)
    for found in _folds(counts, fold):
        rest, held = found.parts(films)
        if _learned(card, learn_and_judge(rest, recipe.data)[0]):
            return held, f"{len(held)} films of fold {found.number} of {found.of}, never met in training"
    raise SourceError(
        f"{films.source}: expected the {card.training.films} films that {card.name} was trained on and their split, "
        "none fits the split hash on its card; name its data and --fold, or judge all films with --split all"
    )


def _folds(counts: Sequence[int], fold: int | None) -> list[Fold]:
    return [Fold(number, of) for of in counts for number in ((fold,) if fold else range(1, of + 1)) if number <= of]


def _learned(card: Card, learn: Films) -> bool:
    return len(learn) == card.training.films and split_hash(learn, range(len(learn))) == card.training.split_hash
