"""Everything that is known of a reader when its report is written. What is not here is the author's to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lucency.bundle import Card
from lucency.data import SOURCES
from lucency.evaluate import Predictions, Report, evaluate_predictions
from lucency.evaluate.comparison import delong_test, detectable_auroc
from lucency.evaluate.report import findings
from lucency.evaluate.subgroups import Subgroup, subgroups, usable_columns


@dataclass(frozen=True)
class Known:
    """A reader, what it was asked, and what it answered."""

    card: Card
    digest: str
    """SHA-256 of the card, which names the whole bundle."""
    report: Report
    predictions: Predictions
    parts: tuple[Subgroup, ...]
    """By each column that makes subgroups."""
    about: Mapping[str, Any]
    """As in report.json: reader, data, source, split, command, threshold_chosen_by, unread, data_warnings."""
    trained_on: Mapping[str, str]
    """Population, Films, Citation, Licence of the films learned from, as far as their source states them."""
    judged_on: Mapping[str, str]
    shows: float | None
    """The difference in AUROC to a reader about as good that these films show four times in five."""

    @property
    def unread(self) -> int:
        """Films that could not be read and are in no figure."""
        return len(self.about.get("unread", ()))

    @property
    def may_have_seen(self) -> bool:
        """Whether films that the reader learned from may be among those it was judged on."""
        same = self.about.get("source") == self.card.training.source
        return same and self.about.get("split") in ("all", "train")


def know(
    card: Card,
    digest: str,
    predictions: Predictions,
    threshold: float,
    about: Mapping[str, Any],
    resamples: int = 2000,
    seed: int = 0,
) -> Known:
    """Judge the predictions, overall and by every column that makes subgroups, and gather what else is known.

    Args:
        card: the reader's.
        digest: SHA-256 of the card.
        predictions: of labelled films.
        threshold: at which the finding is called.
        about: as in report.json.
        resamples: bootstrap draws of patients.
        seed: of the draws.

    Raises:
        SourceError: there is no film.
    """
    return Known(
        card=card,
        digest=digest,
        report=evaluate_predictions(predictions, threshold, resamples, seed),
        predictions=predictions,
        parts=tuple(
            part
            for column in usable_columns(predictions)
            for part in subgroups(predictions, column, threshold, resamples, seed)
        ),
        about=about,
        trained_on=source_facts(card.training.source),
        judged_on=source_facts(str(about.get("source", ""))),
        shows=_shows(predictions, threshold),
    )


def source_facts(source: str) -> dict[str, str]:
    """What a source says of its films: Population, Films, Citation, Licence; empty where it states nothing.

    >>> source_facts("kermany")["Licence"]
    'CC BY 4.0.'
    """
    if source not in SOURCES:
        return {}
    info = SOURCES[source]
    facts = {"Population": info.population, "Films": info.counts, "Citation": info.citation, "Licence": info.licence}
    return {fact: text for fact, text in facts.items() if text}


def _shows(predictions: Predictions, threshold: float) -> float | None:
    """Of the first finding."""
    finding = findings(predictions, threshold)[0]
    areas = delong_test(finding.truth, finding.score, finding.score, predictions.groups())
    return None if areas is None or not areas.error_a else detectable_auroc(areas.error_a)
