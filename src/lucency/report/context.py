"""The facts about a reader that its report is written from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lucency.bundle import Card, open_bundle
from lucency.data import SOURCES, Dataset
from lucency.data.learned import Seen
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.evaluate import Predictions, Report, evaluate_predictions
from lucency.evaluate.comparison import delong_test, detectable_auroc
from lucency.evaluate.predictions import PerFinding
from lucency.evaluate.report import findings
from lucency.evaluate.subgroups import Subgroup, subgroups, usable_columns
from lucency.modality import MODALITIES, Modality
from lucency.reader import Reader

LIMIT = (
    "Evaluated by cross-validation: {folds} readers of one recipe, each on films of patients that it was not trained "
    "on. A reader trained on all films is another, and was not evaluated here."
)


@dataclass(frozen=True)
class SourceFacts:
    """A source's facts about its films; "" where it states none."""

    population: str = ""
    labelled_by: str = ""
    citation: str = ""
    licence: str = ""


@dataclass(frozen=True)
class ReportContext:
    """A reader, the films it was evaluated on, and its report."""

    card: Card
    digest: str
    """SHA-256 of the card, which identifies the whole bundle."""
    report: Report
    predictions: Predictions
    subgroups: tuple[Subgroup, ...]
    """By each column that defines subgroups."""
    about: Mapping[str, Any]
    """As in report.json: reader, data, source, split, command, threshold_chosen_by, unread, data_warnings."""
    trained_on: SourceFacts
    evaluated_on: SourceFacts
    detectable: float | None
    """The difference in AUROC to an equally good reader that these films detect with a power of 80 %."""
    cross_validated: bool = False
    """Whether each film was evaluated by a reader that was trained without films of its patient."""

    @property
    def kind(self) -> Modality:
        """What the pictures are."""
        return MODALITIES[self.card.modality]

    @property
    def pixels(self) -> str:
        """The network's input in words: `160 × 160 gray pixels`."""
        square = self.card.preprocess
        return f"{square.image_size} × {square.image_size} {'gray' if square.channels == 1 else 'RGB'} pixels"

    @property
    def seen(self) -> str:
        """Which of these films the reader has seen before, in a line; empty where none."""
        return Seen(**self.about["seen"]).line() if self.about.get("seen") else ""

    @property
    def unread(self) -> int:
        """Films that could not be read and are in no figure."""
        return len(self.about.get("unread", ()))

    @property
    def may_overlap(self) -> bool:
        """Whether training films may be among the evaluation films."""
        same = self.about.get("source") == self.card.training.source
        return same and self.about.get("split") in ("all", "train")


def build_context(
    card: Card,
    digest: str,
    predictions: Predictions,
    threshold: PerFinding,
    about: Mapping[str, Any],
    resamples: int = 2000,
    seed: int = 0,
    cross_validated: bool = False,
) -> ReportContext:
    """Evaluate the predictions, overall and by every column that defines subgroups, and gather the other facts.

    Args:
        card: the reader's.
        digest: SHA-256 of the card.
        predictions: of labelled films.
        threshold: at which the finding is called.
        about: as in report.json.
        resamples: bootstrap draws of patients.
        seed: of the draws.
        cross_validated: whether each film's reader was trained without films of its patient.

    Raises:
        SourceError: there is no film.
    """
    return ReportContext(
        card=card,
        digest=digest,
        report=evaluate_predictions(predictions, threshold, resamples, seed),
        predictions=predictions,
        subgroups=tuple(
            part
            for column in usable_columns(predictions)
            for part in subgroups(predictions, column, threshold, resamples, seed)
        ),
        about=about,
        trained_on=source_facts(card.training.source),
        evaluated_on=source_facts(str(about.get("source", ""))),
        detectable=_detectable(predictions, threshold),
        cross_validated=cross_validated,
    )


def source_facts(source: str) -> SourceFacts:
    """The facts of the row `source` of SOURCES.

    >>> source_facts("kermany").licence
    'CC BY 4.0.'
    """
    if source not in SOURCES:
        return SourceFacts()
    info = SOURCES[source]
    return SourceFacts(info.population, info.labelled_by, info.citation, info.licence)


def _detectable(predictions: Predictions, threshold: PerFinding) -> float | None:
    """Of the first finding."""
    finding = findings(predictions, threshold)[0]
    areas = delong_test(finding.truth, finding.score, finding.score, predictions.groups())
    return None if areas is None or not areas.error_a else detectable_auroc(areas.error_a)


def folds_of(run: Path) -> tuple[Path, ...]:
    """The finished folds of a cross-validated run in order; empty for any other run or bundle."""
    if (run / "card.json").is_file():
        return ()
    numbers = range(1, 1 + len(list(run.glob("fold-*"))))
    return tuple(run / f"fold-{number}" for number in numbers if (run / f"fold-{number}" / "card.json").is_file())


def card_of(folds: tuple[Path, ...]) -> tuple[Card, str]:
    """The first fold's card with a limit that names all of them, and the folds' digests.

    Raises:
        BundleError: a fold is broken.
    """
    bundles = [open_bundle(fold) for fold in folds]
    card = bundles[0].card
    limits = (*card.limits, LIMIT.format(folds=len(folds)))
    return card.model_copy(update={"limits": limits}), ", ".join(bundle.digest[:16] for bundle in bundles)


def reader_of_film(folds: tuple[Path, ...], films: Dataset) -> Callable[[str], Reader]:
    """Film name -> the reader that evaluated it, opened on first use.

    Args:
        folds: of one run.
        films: those that the run was trained on, unchanged.
    """
    here = films.subset([index for index, sample in enumerate(films.samples) if sample.split != "test"])
    fold_of = {
        here.samples[index].name: fold
        for fold, (_, held) in zip(folds, stratified_group_kfold(here, len(folds), SPLIT_SEED), strict=True)
        for index in held
    }
    opened = cache(Reader.open)
    return lambda name: opened(fold_of[name])
