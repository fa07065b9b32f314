"""What the audit has against a data set: each finding says what, how bad, which films, and what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lucency.audit.appearance import KINDS, DuplicatePair, Kind, Outlier, duplicate_groups
from lucency.audit.measurements import Measurements
from lucency.audit.shortcuts import Shortcut
from lucency.data.dataset import Dataset, Sample

NAIVE = re.compile(r"person\d+")
"""The key that most published code takes for the patient in the films of Kermany et al. It is wrong: persons are
counted apart for bacteria and virus."""
VALIDATION = 0.1
"""Share of the films that the careless split of `sibling_leak` sets aside."""


@dataclass(frozen=True)
class Patients:
    """Who is on the films."""

    known: int
    """Patients named."""
    nameless: int
    """Films that do not say whose they are."""
    films_each: dict[int, int]
    """Number of films -> patients who have so many; a nameless film is a patient of its own."""
    crossing: tuple[str, ...]
    """Patients with films in more than one split."""
    both_labels: tuple[str, ...]
    """Patients with films of different labels."""
    sibling_leak: float
    """Share of validation films with a film of the same patient in training, if a tenth of the films were drawn
    without looking at patients."""
    naive: NaiveKey | None
    """What the naive key would say; None where no name fits it."""


@dataclass(frozen=True)
class NaiveKey:
    """What `person12` alone, without bacteria or virus, would say."""

    patients: int
    """Distinct numbers."""
    merging: int
    """Numbers that stand for more than one patient."""
    crossing: int
    """Numbers with films in more than one split: the leak that it would report."""
    truly_crossing: int
    """Of the patients behind these numbers, how many do cross."""
    example: tuple[str, ...]
    """The patients that share the first number that merges."""


def patients(films: Dataset) -> Patients:
    """Count patients; no film is decoded."""
    named = [record for record in films.samples if record.patient]
    sizes = Counter(films.groups().tolist())
    return Patients(
        known=len({record.patient for record in named}),
        nameless=len(films) - len(named),
        films_each=dict(sorted(Counter(sizes.values()).items())),
        crossing=_with_several(films, lambda record: record.split),
        both_labels=_with_several(films, lambda record: record.label),
        sibling_leak=sibling_leak(list(sizes.values())),
        naive=naive_key(films),
    )


def sibling_leak(sizes: list[int], share: float = VALIDATION) -> float:
    """What a random split of films, not of patients, would leak, on average.

    A validation film of a patient with m of the n films has a sibling in training unless all m - 1 of them are among
    the other v - 1 validation films:  P = 1 - Π_{i < m-1} (v - 1 - i) / (n - 1 - i)

    Args:
        sizes: films of each patient.
        share: v / n.

    Returns:
        Expected share of validation films with a sibling in training, 0 to 1.
    """
    total = sum(sizes)
    aside = max(1, round(share * total))
    leaks = 0.0
    for size, count in Counter(sizes).items():
        steps = np.arange(min(size - 1, aside))
        alone = float(np.prod((aside - 1 - steps) / np.maximum(total - 1 - steps, 1)))
        leaks += count * size * (1 - alone)
    return leaks / total if total else 0.0


def naive_key(films: Dataset) -> NaiveKey | None:
    """What the naive key would say of these films."""
    behind: dict[str, set[str]] = {}
    splits: dict[str, set[str]] = {}
    for record in films.samples:
        if record.patient and (match := NAIVE.search(record.name)):
            behind.setdefault(match[0], set()).add(record.patient)
            splits.setdefault(match[0], set()).add(record.split or "")
    if not behind:
        return None
    merging = sorted(key for key, people in behind.items() if len(people) > 1)
    crossing = {key for key, where in splits.items() if len(where) > 1}
    true = set(_with_several(films, lambda record: record.split))
    return NaiveKey(
        patients=len(behind),
        merging=len(merging),
        crossing=len(crossing),
        truly_crossing=len(true & {person for key in crossing for person in behind[key]}),
        example=tuple(sorted(behind[merging[0]])) if merging else (),
    )


def films_of(films: Dataset, patient: str) -> tuple[int, ...]:
    """Indices of one patient's films."""
    return tuple(index for index, record in enumerate(films.samples) if record.patient == patient)


def _with_several(films: Dataset, what: Callable[[Sample], object]) -> tuple[str, ...]:
    """Patients whose films differ in something, in the order of their names."""
    seen: dict[str, set[object]] = {}
    for record in films.samples:
        if record.patient:
            seen.setdefault(record.patient, set()).add(what(record))
    return tuple(sorted(patient for patient, values in seen.items() if len(values) > 1))


Weight = Literal["invalid", "danger"]
"""invalid: results on this set would be wrong. danger: they may mislead, or a film should be looked at."""


@dataclass(frozen=True)
class Finding:
    """One thing that the audit has against a data set."""

    key: str
    weight: Weight
    title: str
    line: str
    """What was found and what to do, in a sentence or two."""
    groups: tuple[tuple[int, ...], ...] = ()
    """The films, by index into the readable ones; those of a group belong together."""
    words: tuple[str, ...] = ()
    """One line a group."""


def findings(
    facts: Measurements,
    people: Patients,
    pairs: tuple[DuplicatePair, ...],
    odd: tuple[Outlier, ...],
    told: tuple[Shortcut, ...],
) -> tuple[Finding, ...]:
    """Everything that was found, what makes results invalid first."""
    found = [
        *_unreadable(facts),
        *_patients(facts.films, people),
        *_duplicates(facts.films, pairs),
        *_files(facts),
        *_suspects(odd),
        *_shortcuts(told),
        *(Finding("source", "danger", "The source warns", warning) for warning in facts.films.warnings),
    ]
    return tuple(sorted(found, key=lambda finding: finding.weight != "invalid"))


def _unreadable(facts: Measurements) -> Iterable[Finding]:
    if facts.unreadable:
        line = f"{count(len(facts.unreadable), 'film')} cannot be read; replace or remove them"
        reasons = tuple(reason for _, reason in facts.unreadable)
        yield Finding("unreadable", "invalid", "Unreadable films", line, words=reasons)


def _patients(films: Dataset, people: Patients) -> Iterable[Finding]:
    of_patient: dict[str | None, list[int]] = {}
    for index, record in enumerate(films.samples):
        of_patient.setdefault(record.patient, []).append(index)

    def finding(key: str, weight: Weight, title: str, line: str, who: tuple[str, ...]) -> Iterable[Finding]:
        if who:
            groups = tuple(tuple(of_patient.get(patient, ())) for patient in who)
            yield Finding(key, weight, title, f"{count(len(who), 'patient')} {line}", groups, who)

    yield from finding(
        "patients across splits",
        "invalid",
        "Patients on both sides of a split",
        "with films in more than one split: a reader is tested on people it has seen; split by patient",
        people.crossing,
    )
    yield from finding(
        "patients with several labels",
        "danger",
        "Patients with several labels",
        "with films of different labels: a course of illness, or a mistake; look at them",
        people.both_labels,
    )
    if people.naive and people.naive.merging:
        yield Finding("naive patient key", "danger", "The naive patient key misleads here", naive_key_text(people))


def naive_key_text(people: Patients) -> str:
    """What the naive key would say, and why it is wrong."""
    naive = people.naive
    assert naive is not None
    shared = " and ".join(naive.example)
    report = (
        f"it would report {naive.crossing} patients across splits, of whom {naive.truly_crossing} truly cross; "
        if naive.crossing
        else ""
    )
    return (
        f"the key person\\d+ alone would see {naive.patients:,} people, but {naive.merging:,} of its numbers each "
        f"merge different patients ({shared} are not one); {report}this audit takes number and cause together"
    )


def _duplicates(films: Dataset, pairs: tuple[DuplicatePair, ...]) -> Iterable[Finding]:
    across = tuple(pair for pair in pairs if _differ(films, pair, "split"))
    conflicts = tuple(pair for pair in pairs if _differ(films, pair, "label"))
    strangers = tuple(pair for pair in pairs if _differ(films, pair, "patient") and pair not in across)
    within = tuple(pair for pair in pairs if pair not in across and pair not in strangers)
    rows: tuple[tuple[str, Weight, str, str, tuple[DuplicatePair, ...]], ...] = (
        ("duplicates across splits", "invalid", "The same film on both sides of a split", _SEEN, across),
        ("label conflicts", "invalid", "The same film with different labels", _CONFLICT, conflicts),
        ("duplicates across patients", "danger", "The same film under different patients", _STRANGERS, strangers),
        ("duplicates", "danger", "Duplicates", _TWICE, within),
    )
    for key, weight, title, advice, chosen in rows:
        if chosen:
            groups = duplicate_groups(chosen, len(films))
            line = f"{_pairs(chosen)}, {count(len(groups), 'film')} stored more than once: {advice}"
            yield Finding(key, weight, title, line, groups, tuple(_family_words(group, chosen) for group in groups))


_SEEN = "a reader is tested on films it has seen; remove one side"
_CONFLICT = "one of the labels is wrong; ask who read them"
_STRANGERS = "a split by patient may put one on each side; find out whose it is"
_TWICE = "each counts twice; keep one"


def _differ(films: Dataset, pair: DuplicatePair, what: str) -> bool:
    first, second = films.samples[pair.first], films.samples[pair.second]
    return bool(getattr(first, what) != getattr(second, what))


def _pairs(pairs: tuple[DuplicatePair, ...]) -> str:
    kinds = Counter(pair.kind for pair in pairs)
    words: dict[Kind, str] = {
        "identical": "pixel for pixel",
        "near": "within 3 gray levels",
        "processed": "processed otherwise",
        "turned": "turned, mirrored or inverted",
    }
    parts = ", ".join(f"{kinds[kind]} {words[kind]}" for kind in words if kinds[kind])
    return f"{count(len(pairs), 'pair')} ({parts})"


def _family_words(group: tuple[int, ...], pairs: tuple[DuplicatePair, ...]) -> str:
    turns = {pair.orientation if pair.kind == "turned" else pair.kind for pair in pairs if pair.first in group}
    return ", ".join(sorted(turns))


def _files(facts: Measurements) -> Iterable[Finding]:
    kind, named = facts.files["kind"], facts.files["named"]
    wrong = [i for i in range(len(facts)) if kind[i] and named[i] and kind[i] != named[i]]
    if wrong:
        line = f"{count(len(wrong), 'film')} named like another kind of file; programs that trust names will fail on it"
        groups, words = tuple((i,) for i in wrong), tuple(f"is {kind[i]}, named {named[i]}" for i in wrong)
        yield Finding("misnamed", "danger", "Files that are not what they are named", line, groups, words)


def _suspects(odd: tuple[Outlier, ...]) -> Iterable[Finding]:
    for kind, (title, advice) in KINDS.items():
        chosen = [outlier for outlier in odd if outlier.kind == kind]
        if chosen:
            groups, words = tuple((outlier.film,) for outlier in chosen), tuple(outlier.words for outlier in chosen)
            yield Finding(kind, "danger", title, f"{count(len(chosen), 'film')}: {advice}", groups, words)


def _shortcuts(told: tuple[Shortcut, ...]) -> Iterable[Finding]:
    dangers = [shortcut for shortcut in told if shortcut.verdict == "danger"]
    if dangers:
        line = f"{len(dangers)} of {len(told)} properties tell the label without a look at the lungs; so may a network"
        words = tuple(
            f"{one.name} tells {one.label}: AUROC {one.auroc:.3f} ({one.low:.3f} to {one.high:.3f}), {one.grade}"
            for one in dangers
        )
        yield Finding("shortcuts", "danger", "Shortcuts", line, words=words)


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "film"), count(2, "film")
    ('1 film', '2 films')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
