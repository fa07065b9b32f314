"""Findings of an audit: what is wrong, how severe, which films, and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lucency.audit.appearance import OUTLIER_KINDS, DuplicatePair, Kind, Outlier, duplicate_groups
from lucency.audit.measurements import Measurements
from lucency.audit.shortcuts import Shortcut
from lucency.data.dataset import Dataset, Sample
from lucency.modality import MODALITIES, Modality

NAIVE = re.compile(r"person\d+")
"""The patient key that most published code uses for the films of Kermany et al. It is wrong: persons are numbered
separately for bacteria and virus."""
VALIDATION = 0.1
"""Share of the films that the random split of `sibling_leak` holds out."""
Severity = Literal["invalid", "danger"]
"""invalid: results on this set would be wrong. danger: they may mislead, or a film should be looked at."""


@dataclass(frozen=True)
class Finding:
    """One problem of a data set."""

    key: str
    severity: Severity
    title: str
    line: str
    """The problem and what to do, in a sentence or two."""
    groups: tuple[tuple[int, ...], ...] = ()
    """The films, by index into the readable ones; those of a group belong together."""
    details: tuple[str, ...] = ()
    """One line for each group."""


@dataclass(frozen=True)
class Patients:
    """The patients of a data set."""

    known: int
    nameless: int
    """Films without a patient; each counts as a patient of its own."""
    films_each: dict[int, int]
    """Number of films → patients with so many."""
    crossing: tuple[str, ...]
    """Patients with films in more than one split."""
    several_labels: tuple[str, ...]
    """Patients with films of different labels."""
    sibling_leak: float
    naive: NaiveKey | None
    """None where no name fits the naive key."""


@dataclass(frozen=True)
class NaiveKey:
    """What the key `person12` alone, without bacteria or virus, would report."""

    patients: int
    """Distinct numbers."""
    merging: int
    """Numbers shared by more than one patient."""
    crossing: int
    """Numbers with films in more than one split: the leak that it would report."""
    truly_crossing: int
    """How many of the patients with these numbers do cross."""
    example: tuple[str, ...]
    """The patients that share the first merging number."""


def count_patients(films: Dataset) -> Patients:
    """Count patients; no film is decoded."""
    named = [record for record in films.samples if record.patient]
    sizes = Counter(films.groups().tolist())
    return Patients(
        known=len({record.patient for record in named}),
        nameless=len(films) - len(named),
        films_each=dict(sorted(Counter(sizes.values()).items())),
        crossing=_patients_with_several(films, lambda record: record.split),
        several_labels=(
            () if films.task == "multilabel" else _patients_with_several(films, lambda record: record.label)
        ),
        sibling_leak=sibling_leak(list(sizes.values())),
        naive=naive_key(films),
    )


def sibling_leak(sizes: list[int], share: float = VALIDATION) -> float:
    """Expected share of validation films with a film of the same patient in training, if films are split at random.

    A validation film of a patient with m of the n films has a sibling in training unless all m - 1 of them are among
    the other v - 1 validation films:  P = 1 - Π_{i < m-1} (v - 1 - i) / (n - 1 - i)

    Args:
        sizes: films of each patient.
        share: v / n.
    """
    total = sum(sizes)
    held = max(1, round(share * total))
    leaks = 0.0
    for size, count in Counter(sizes).items():
        steps = np.arange(min(size - 1, held))
        alone = float(np.prod((held - 1 - steps) / np.maximum(total - 1 - steps, 1)))
        leaks += count * size * (1 - alone)
    return leaks / total if total else 0.0


def naive_key(films: Dataset) -> NaiveKey | None:
    """What the naive key would report of these films; None where no name fits it."""
    people_of: dict[str, set[str]] = {}
    splits: dict[str, set[str]] = {}
    for record in films.samples:
        if record.patient and (match := NAIVE.search(record.name)):
            people_of.setdefault(match[0], set()).add(record.patient)
            splits.setdefault(match[0], set()).add(record.split or "")
    if not people_of:
        return None
    merging = sorted(key for key, people in people_of.items() if len(people) > 1)
    crossing = {key for key, where in splits.items() if len(where) > 1}
    true = set(_patients_with_several(films, lambda record: record.split))
    return NaiveKey(
        patients=len(people_of),
        merging=len(merging),
        crossing=len(crossing),
        truly_crossing=len(true & {person for key in crossing for person in people_of[key]}),
        example=tuple(sorted(people_of[merging[0]])) if merging else (),
    )


def _patients_with_several(films: Dataset, what: Callable[[Sample], object]) -> tuple[str, ...]:
    values_of: dict[str, set[object]] = {}
    for record in films.samples:
        if record.patient:
            values_of.setdefault(record.patient, set()).add(what(record))
    return tuple(sorted(patient for patient, values in values_of.items() if len(values) > 1))


def collect_findings(
    measured: Measurements,
    patients: Patients,
    pairs: tuple[DuplicatePair, ...],
    outliers: tuple[Outlier, ...],
    shortcuts: tuple[Shortcut, ...],
    kind: Modality = MODALITIES["chest_xray"],
) -> tuple[Finding, ...]:
    """All findings, those that invalidate results first."""
    found = [
        *_unreadable(measured),
        *_patients(measured.films, patients),
        *_duplicates(measured.films, pairs),
        *_misnamed(measured),
        *_outliers(outliers),
        *_shortcuts(shortcuts, "the lungs" if kind.lungs else "what is to be seen"),
        *(Finding("source", "danger", "The source warns", warning) for warning in measured.films.warnings),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != "invalid"))


def _unreadable(measured: Measurements) -> Iterable[Finding]:
    if measured.unreadable:
        line = f"{plural(len(measured.unreadable), 'film')} cannot be read; replace or remove them"
        reasons = tuple(reason for _, reason in measured.unreadable)
        yield Finding("unreadable", "invalid", "Unreadable films", line, details=reasons)


def _patients(films: Dataset, patients: Patients) -> Iterable[Finding]:
    of_patient: dict[str | None, list[int]] = {}
    for index, record in enumerate(films.samples):
        of_patient.setdefault(record.patient, []).append(index)
    for key, severity, title, who, line in (
        ("patients across splits", "invalid", "Patients on both sides of a split", patients.crossing, _CROSSING),
        ("patients with several labels", "danger", "Patients with several labels", patients.several_labels, _SEVERAL),
    ):
        if who:
            groups = tuple(tuple(of_patient.get(patient, ())) for patient in who)
            yield Finding(key, severity, title, f"{plural(len(who), 'patient')} {line}", groups, who)  # type: ignore[arg-type]
    if patients.naive and patients.naive.merging:
        line = _naive_line(patients.naive)
        yield Finding("naive patient key", "danger", "The naive patient key misleads here", line)


_CROSSING = "with films in more than one split: a reader is tested on people it was trained on; split by patient"
_SEVERAL = "with films of different labels: a course of illness, or a mistake; look at them"


def _naive_line(naive: NaiveKey) -> str:
    report = (
        f"it would report {naive.crossing} patients across splits, of whom {naive.truly_crossing} truly cross; "
        if naive.crossing
        else ""
    )
    return (
        f"the key person\\d+ alone would count {naive.patients:,} people, but {naive.merging:,} of its numbers each "
        f"merge different patients ({' and '.join(naive.example)} are not one); {report}this audit takes number and "
        "cause together"
    )


def _duplicates(films: Dataset, pairs: tuple[DuplicatePair, ...]) -> Iterable[Finding]:
    def differing(what: str) -> tuple[DuplicatePair, ...]:
        records = films.samples
        return tuple(p for p in pairs if getattr(records[p.first], what) != getattr(records[p.second], what))

    across = differing("split")
    patients = tuple(pair for pair in differing("patient") if pair not in across)
    within = tuple(pair for pair in pairs if pair not in across and pair not in patients)
    rows: tuple[tuple[str, Severity, str, str, tuple[DuplicatePair, ...]], ...] = (
        ("duplicates across splits", "invalid", "The same film on both sides of a split", _TESTED_ON_TRAINING, across),
        ("label conflicts", "invalid", "The same film with different labels", _CONFLICT, differing("label")),
        ("duplicates across patients", "danger", "The same film under different patients", _TWO_PATIENTS, patients),
        ("duplicates", "danger", "Duplicates", "each counts twice; keep one", within),
    )
    for key, severity, title, advice, chosen in rows:
        if chosen:
            groups = duplicate_groups(chosen, len(films))
            line = f"{_kinds(chosen)}, {plural(len(groups), 'film')} stored more than once: {advice}"
            yield Finding(key, severity, title, line, groups, tuple(_how(group, chosen) for group in groups))


_TESTED_ON_TRAINING = "a reader is tested on films it was trained on; remove one side"
_CONFLICT = "one of the labels is wrong; ask who read them"
_TWO_PATIENTS = "a split by patient may put one on each side; find out whose it is"


def _kinds(pairs: tuple[DuplicatePair, ...]) -> str:
    kinds = Counter(pair.kind for pair in pairs)
    named: dict[Kind, str] = {
        "identical": "pixel for pixel",
        "near": "within 3 gray levels",
        "processed": "processed differently",
        "turned": "turned, mirrored or inverted",
    }
    parts = ", ".join(f"{kinds[kind]} {named[kind]}" for kind in named if kinds[kind])
    return f"{plural(len(pairs), 'pair')} ({parts})"


def _how(group: tuple[int, ...], pairs: tuple[DuplicatePair, ...]) -> str:
    how = {pair.orientation if pair.kind == "turned" else pair.kind for pair in pairs if pair.first in group}
    return ", ".join(sorted(how))


def _misnamed(measured: Measurements) -> Iterable[Finding]:
    kind, named = measured.files["kind"], measured.files["named"]
    wrong = [i for i in range(len(measured)) if kind[i] and named[i] and kind[i] != named[i]]
    if wrong:
        line = f"{plural(len(wrong), 'film')} named like another kind of file; programs that trust names fail on it"
        groups, details = tuple((i,) for i in wrong), tuple(f"is {kind[i]}, named {named[i]}" for i in wrong)
        yield Finding("misnamed", "danger", "Files that are not what they are named", line, groups, details)


def _outliers(outliers: tuple[Outlier, ...]) -> Iterable[Finding]:
    for kind, (title, advice) in OUTLIER_KINDS.items():
        chosen = [outlier for outlier in outliers if outlier.kind == kind]
        if chosen:
            groups, details = tuple((one.film,) for one in chosen), tuple(one.measured for one in chosen)
            yield Finding(kind, "danger", title, f"{plural(len(chosen), 'film')}: {advice}", groups, details)


def _shortcuts(shortcuts: tuple[Shortcut, ...], seen: str) -> Iterable[Finding]:
    dangers = [shortcut for shortcut in shortcuts if shortcut.verdict == "danger"]
    if dangers:
        line = f"{len(dangers)} of {len(shortcuts)} properties predict the label without {seen}; so may a network"
        details = tuple(
            f"{one.name} predicts {one.label}: AUROC {one.auroc:.3f} ({one.low:.3f} to {one.high:.3f}), {one.grade}"
            for one in dangers
        )
        yield Finding("shortcuts", "danger", "Shortcuts", line, details=details)


def plural(number: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "film"), plural(2, "film")
    ('1 film', '2 films')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
