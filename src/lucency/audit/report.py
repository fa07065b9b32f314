"""The audit of a data set, as JSON and as one HTML page."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from PIL import Image

import lucency
from lucency.audit.appearance import DuplicatePair, find_duplicates, find_outliers
from lucency.audit.findings import Finding, Patients, collect_findings, count_patients
from lucency.audit.measurements import Measurements, measure_films
from lucency.audit.shortcuts import PROPERTIES, Shortcut, find_shortcuts
from lucency.data.dataset import Dataset
from lucency.html import data_url, notebook_block, render, table_html
from lucency.modality import MODALITIES
from lucency.tables import data_frame

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 2
"""Of audit.json. 1 called findings `concerns`, their severity `weight` and their details `words`."""
SHOWN, LARGEST = 12, 6
"""Groups of films pictured for each finding, and films of one group; all are in audit.json."""
PICTURE = 168
"""Long side of a picture, in pixels."""


@dataclass(frozen=True, repr=False)
class Audit:
    """The result of an audit."""

    films: Dataset
    """All films of the set, including unreadable ones."""
    measured: Measurements
    patients: Patients
    pairs: tuple[DuplicatePair, ...]
    shortcuts: tuple[Shortcut, ...]
    findings: tuple[Finding, ...]
    modality: str = "chest_xray"

    @property
    def invalid(self) -> tuple[Finding, ...]:
        """Findings that make results on this set wrong."""
        return tuple(finding for finding in self.findings if finding.severity == "invalid")

    def __repr__(self) -> str:
        return f"<Audit {self._title()}>"

    def _title(self) -> str:
        kinds = Counter(finding.severity for finding in self.findings)
        findings = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing found against it"
        return f"{len(self.films):,} films: {findings}"

    def _rows(self) -> list[dict[str, object]]:
        rows = [(finding, sum(map(len, finding.groups))) for finding in self.findings]
        return [{"severity": one.severity, "key": one.key, "films": n, "line": one.line} for one, n in rows]

    def _repr_html_(self) -> str:
        return notebook_block(self._title(), table_html(self._rows()))

    def to_pandas(self) -> DataFrame:
        """The findings, a row each: severity, key, films, line.

        Raises:
            ExtraError: pandas is not installed.
        """
        return data_frame(self._rows())

    def to_json(self) -> dict[str, Any]:
        """The content of audit.json; films by name."""
        return {
            "schema": SCHEMA,
            "lucency": lucency.__version__,
            "source": self.films.source,
            "modality": self.modality,
            "films": len(self.films),
            "left_out": dict(self.films.left_out),
            "valid": not self.invalid,
            "counts": counts(self.films),
            "patients": _patients_json(self.patients),
            "findings": [self._finding_json(finding) for finding in self.findings],
            "shortcuts": [{**asdict(one), "grade": one.grade} for one in self.shortcuts],
            "unreadable": [{"film": name, "reason": reason} for name, reason in self.measured.unreadable],
        }

    def _finding_json(self, finding: Finding) -> dict[str, Any]:
        records = self.measured.films.samples
        content = {name: getattr(finding, name) for name in ("key", "severity", "line")}
        groups = [[records[index].name for index in group] for group in finding.groups]
        return {**content, "groups": groups, "details": list(finding.details)}


def audit(films: Dataset, modality: str = "chest_xray") -> Audit:
    """Measure every film of a data set once and report what is wrong with the set.

    Args:
        films: of one kind.
        modality: which, a row of lucency.modality.

    Raises:
        SourceError: no film can be read.
    """
    measured = measure_films(films)
    patients, pairs, shortcuts = (
        count_patients(films),
        find_duplicates(measured, MODALITIES[modality]),
        find_shortcuts(measured),
    )
    kind = MODALITIES[modality]
    findings = collect_findings(measured, patients, pairs, find_outliers(measured, kind), shortcuts, kind)
    return Audit(films, measured, patients, pairs, shortcuts, findings, modality)


def counts(films: Dataset) -> dict[str, dict[str, int]]:
    """Split → label → number of films; "all" where the source states no split."""
    places = [record.split or "all" for record in films.samples]
    return {
        split: films.subset([index for index, place in enumerate(places) if place == split]).class_counts()
        for split in sorted(set(places))
    }


def _patients_json(patients: Patients) -> dict[str, Any]:
    naive = patients.naive
    return {
        "known": patients.known,
        "films_without": patients.nameless,
        "films_each": {str(number): how_many for number, how_many in patients.films_each.items()},
        "across_splits": list(patients.crossing),
        "with_several_labels": list(patients.several_labels),
        "random_split_leak": patients.sibling_leak,
        "naive_key": naive and {"patients": naive.patients, "merging": naive.merging, "across_splits": naive.crossing},
    }


def page(audit: Audit, title: str) -> str:
    """audit.html; the films of the findings are opened again for their pictures."""
    varying = {shortcut.name for shortcut in audit.shortcuts}
    return render(
        "audit",
        title=title,
        audit=audit,
        films=audit.films,
        kind=MODALITIES[audit.modality],
        counts=counts(audit.films),
        people=audit.patients,
        findings=[_shown(audit.measured.films, finding) for finding in audit.findings],
        shortcuts=[_bar(shortcut) for shortcut in audit.shortcuts],
        constant=[name for name in PROPERTIES if name not in varying],
        several_labels=len({shortcut.label for shortcut in audit.shortcuts}) > 1,
    )


def _shown(films: Dataset, finding: Finding) -> dict[str, Any]:
    groups = [
        {
            "details": details,
            "more": max(0, len(group) - LARGEST),
            "films": [_film(films, index) for index in group[:LARGEST]],
        }
        for group, details in zip(finding.groups[:SHOWN], (*finding.details, *[""] * SHOWN), strict=False)
    ]
    in_table = finding.key == "shortcuts"
    lines = () if finding.groups or in_table else finding.details[:SHOWN]
    listed = len(finding.groups) or len(finding.details)
    return {"finding": finding, "groups": groups, "lines": lines, "more": 0 if in_table else max(0, listed - SHOWN)}


def _film(films: Dataset, index: int) -> dict[str, Any]:
    record = films.samples[index]
    label = (
        ", ".join(name for name, has in zip(films.labels, record.label, strict=True) if has)
        if isinstance(record.label, tuple)
        else films.labels[record.label]
    )
    opened = record.load()
    picture = Image.fromarray(opened.gray8() if opened.colour is None else opened.colour)
    picture.thumbnail((PICTURE, PICTURE), Image.Resampling.BILINEAR)
    facts = (record.split or "", label, record.patient or "")
    return {
        "name": record.name,
        "breakable": Markup(escape(record.name.rsplit("/", 1)[-1]).replace("_", Markup("_<wbr>"))),
        "facts": " · ".join(fact for fact in facts if fact),
        "picture": data_url(picture),
    }


def _bar(shortcut: Shortcut) -> dict[str, Any]:
    """A shortcut with where its bar starts and ends, in per cent of the way from 0.5 to 1."""
    at, low, high = (
        round(100 * min(1.0, max(0.0, 2 * value - 1)), 1) for value in (shortcut.auroc, shortcut.low, shortcut.high)
    )
    return {"shortcut": shortcut, "at": at, "low": low, "wide": round(max(high - low, 0.4), 1)}
