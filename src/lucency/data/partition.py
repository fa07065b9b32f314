"""Which films a run learns from, which choose its checkpoint, and which a fold holds out."""

from __future__ import annotations

from dataclasses import dataclass

from lucency.data.record import Films
from lucency.data.split import hold_out, stratified_grouped
from lucency.errors import UsageError
from lucency.recipe import DataSettings

ENOUGH = 0.02
"""A stated `val` split with a smaller share of the films decides nothing (Kaggle's holds 16): it is learned from."""
SPLIT_SEED = 0
"""Splits stay the same when the training seed changes, so that seeds compare."""


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation, counted from 1."""

    number: int
    of: int

    def parts(self, films: Films) -> tuple[Films, Films]:
        """The films that the fold's run was given, and those held out from it.

        Raises:
            UsageError: there is no such fold.
            SourceError: a class has fewer patients than there are folds.
        """
        if not 1 <= self.number <= self.of:
            raise UsageError(f"expected a fold from 1 to {self.of}, received {self.number}; see --fold and --folds")
        here = not_test(films)
        rest, held = stratified_grouped(here, self.of, SPLIT_SEED)[self.number - 1]
        return here.pick(rest), here.pick(held)


def not_test(films: Films) -> Films:
    """The films but those that the source calls `test`."""
    return films.pick([index for index, record in enumerate(films.records) if record.split != "test"])


def learn_and_judge(films: Films, settings: DataSettings) -> tuple[Films, Films, str]:
    """Part the films, never a patient. Films that the source calls `test` take no part.

    Returns:
        films to learn from, films that choose the checkpoint, and how they were parted, in words.

    Raises:
        SourceError: nothing to learn from: no film, one class only, a class with a single patient.
    """
    here = not_test(films)
    here.require_learnable()
    stated = here.having_split("val")
    if len(stated) >= ENOUGH * len(here) and _whole(stated) and not _shared_patients(here, stated):
        rest = here.pick([index for index, record in enumerate(here.records) if record.split != "val"])
        rest.require_learnable()
        return rest, stated, "the source's own val split validates"
    learn, judge = hold_out(here, settings.validation, SPLIT_SEED)
    return here.pick(learn), here.pick(judge), f"{settings.validation:.0%} of the patients validate, stratified"


def _whole(films: Films) -> bool:
    return films.task == "multilabel" or all(films.counts().values())


def _shared_patients(films: Films, stated: Films) -> bool:
    theirs = {record.patient for record in stated.records if record.patient}
    return any(record.patient in theirs for record in films.records if record.split != "val")
