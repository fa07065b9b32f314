"""Who is on the films: how many each, who is on both sides of a split, what a careless split would leak."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lucency.data.record import Films, Record

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


def patients(films: Films) -> Patients:
    """Count patients; no film is decoded."""
    named = [record for record in films.records if record.patient]
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


def naive_key(films: Films) -> NaiveKey | None:
    """What the naive key would say of these films."""
    behind: dict[str, set[str]] = {}
    splits: dict[str, set[str]] = {}
    for record in films.records:
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


def films_of(films: Films, patient: str) -> tuple[int, ...]:
    """Indices of one patient's films."""
    return tuple(index for index, record in enumerate(films.records) if record.patient == patient)


def _with_several(films: Films, what: Callable[[Record], object]) -> tuple[str, ...]:
    """Patients whose films differ in something, in the order of their names."""
    seen: dict[str, set[object]] = {}
    for record in films.records:
        if record.patient:
            seen.setdefault(record.patient, set()).add(what(record))
    return tuple(sorted(patient for patient, values in seen.items() if len(values) > 1))
