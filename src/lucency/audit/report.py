"""The audit of a data set, as JSON and as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape
from PIL import Image

import lucency
from lucency.audit.appearance import DuplicatePair, duplicates, outliers
from lucency.audit.findings import Finding, Patients, findings, patients
from lucency.audit.measurements import Measurements, measure_films
from lucency.audit.shortcuts import PROPERTIES, Shortcut, shortcuts
from lucency.data.dataset import Dataset
from lucency.html import data_url, render

SCHEMA = 1
"""Of audit.json."""


@dataclass(frozen=True)
class Audit:
    """What the audit of a data set found."""

    films: Dataset
    """All films of the set, the unreadable ones, too."""
    facts: Measurements
    patients: Patients
    pairs: tuple[DuplicatePair, ...]
    shortcuts: tuple[Shortcut, ...]
    findings: tuple[Finding, ...]

    @property
    def invalid(self) -> tuple[Finding, ...]:
        """What makes results on this set wrong."""
        return tuple(finding for finding in self.findings if finding.weight == "invalid")

    def to_json(self) -> dict[str, Any]:
        """Everything that was found, for machines; films by name."""
        records = self.facts.films.samples
        return {
            "schema": SCHEMA,
            "lucency": lucency.__version__,
            "source": self.films.source,
            "films": len(self.films),
            "valid": not self.invalid,
            "counts": counts(self.films),
            "patients": _patients_json(self.patients),
            "findings": [
                {
                    "key": finding.key,
                    "weight": finding.weight,
                    "line": finding.line,
                    "groups": [[records[index].name for index in group] for group in finding.groups],
                    "words": list(finding.words),
                }
                for finding in self.findings
            ],
            "shortcuts": [_shortcut_json(shortcut) for shortcut in self.shortcuts],
            "unreadable": [{"film": name, "reason": reason} for name, reason in self.facts.unreadable],
        }


def audit(films: Dataset) -> Audit:
    """Look at every film of a data set once, and say what is wrong with the set.

    Raises:
        SourceError: no film at all can be read.
    """
    facts = measure_films(films)
    people, pairs = patients(films), duplicates(facts)
    told = shortcuts(facts)
    return Audit(films, facts, people, pairs, told, findings(facts, people, pairs, outliers(facts), told))


def counts(films: Dataset) -> dict[str, dict[str, int]]:
    """Split to label to number of films; "all" where the source states no split."""
    splits = sorted({record.split or "all" for record in films.samples})
    return {split: films.subset(_in_split(films, split)).class_counts() for split in splits}


def _in_split(films: Dataset, split: str) -> list[int]:
    return [index for index, record in enumerate(films.samples) if (record.split or "all") == split]


def _patients_json(people: Patients) -> dict[str, Any]:
    naive = people.naive
    return {
        "known": people.known,
        "films_without": people.nameless,
        "films_each": {str(number): how_many for number, how_many in people.films_each.items()},
        "across_splits": list(people.crossing),
        "with_several_labels": list(people.both_labels),
        "random_split_leak": people.sibling_leak,
        "naive_key": naive and {"patients": naive.patients, "merging": naive.merging, "across_splits": naive.crossing},
    }


def _shortcut_json(shortcut: Shortcut) -> dict[str, Any]:
    names = ("name", "label", "auroc", "low", "high", "verdict", "grade", "may_be_disease")
    return {name: getattr(shortcut, name) for name in names}


SHOWN = 12
"""Groups of films pictured for each finding; all are in audit.json."""
LARGEST = 6
"""Films pictured of one group."""
PICTURE = 168
"""Pixels along a picture's long side."""


def page(audit: Audit, title: str) -> str:
    """The whole page as HTML; the films concerned are opened again for their pictures."""
    return render(
        "audit",
        title=title,
        audit=audit,
        films=audit.films,
        counts=counts(audit.films),
        people=audit.patients,
        findings=[_shown(audit.facts.films, finding) for finding in audit.findings],
        shortcuts=[_bar(shortcut) for shortcut in audit.shortcuts],
        constant=_constant(audit.shortcuts),
        several_labels=len({shortcut.label for shortcut in audit.shortcuts}) > 1,
    )


def picture(films: Dataset, index: int) -> str:
    """A film as a small JPEG in a data URL."""
    image = Image.fromarray(films.samples[index].load().gray8())
    image.thumbnail((PICTURE, PICTURE), Image.Resampling.BILINEAR)
    return data_url(image)


def _shown(films: Dataset, finding: Finding) -> dict[str, Any]:
    groups = [
        {
            "words": words,
            "more": max(0, len(group) - LARGEST),
            "films": [_film(films, index) for index in group[:LARGEST]],
        }
        for group, words in zip(finding.groups[:SHOWN], (*finding.words, *[""] * SHOWN), strict=False)
    ]
    in_table = finding.key == "shortcuts"
    lines = () if finding.groups or in_table else finding.words[:SHOWN]
    listed = len(finding.groups) or len(finding.words)
    return {"finding": finding, "groups": groups, "lines": lines, "more": 0 if in_table else max(0, listed - SHOWN)}


def _film(films: Dataset, index: int) -> dict[str, Any]:
    record = films.samples[index]
    label = (
        ", ".join(name for name, has in zip(films.labels, record.label, strict=True) if has)
        if isinstance(record.label, tuple)
        else films.labels[record.label]
    )
    facts = (record.split or "", label, record.patient or "")
    return {
        "name": record.name,
        "breakable": Markup(escape(record.name.rsplit("/", 1)[-1]).replace("_", Markup("_<wbr>"))),
        "facts": " · ".join(fact for fact in facts if fact),
        "picture": picture(films, index),
    }


def _constant(shortcuts: tuple[Shortcut, ...]) -> list[str]:
    """Properties that are not in the table: they are the same for every film and tell nothing."""
    judged = {shortcut.name for shortcut in shortcuts}
    return [name for name in PROPERTIES if name not in judged]


def _bar(shortcut: Shortcut) -> dict[str, Any]:
    """A shortcut with where its bar starts and ends, in per cent of the way from 0.5 to 1."""

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, 2 * value - 1)), 1)

    low, high = place(shortcut.low), place(shortcut.high)
    return {"shortcut": shortcut, "at": place(shortcut.auroc), "low": low, "wide": round(max(high - low, 0.4), 1)}
