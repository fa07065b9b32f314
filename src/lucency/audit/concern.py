"""What the audit has against a data set: each concern says what, how bad, which films, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lucency.audit.duplicates import Kind, Pair, families
from lucency.audit.facts import Facts
from lucency.audit.patients import Patients
from lucency.audit.shortcuts import Shortcut
from lucency.audit.suspects import KINDS, Suspect
from lucency.data.record import Films

Weight = Literal["invalid", "danger"]
"""invalid: results on this set would be wrong. danger: they may mislead, or a film should be looked at."""


@dataclass(frozen=True)
class Concern:
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


def concerns(
    facts: Facts,
    people: Patients,
    pairs: tuple[Pair, ...],
    odd: tuple[Suspect, ...],
    told: tuple[Shortcut, ...],
) -> tuple[Concern, ...]:
    """Everything that was found, what makes results invalid first."""
    found = [
        *_unreadable(facts),
        *_patients(facts.films, people),
        *_duplicates(facts.films, pairs),
        *_files(facts),
        *_suspects(odd),
        *_shortcuts(told),
        *(Concern("source", "danger", "The source warns", warning) for warning in facts.films.warnings),
    ]
    return tuple(sorted(found, key=lambda concern: concern.weight != "invalid"))


def _unreadable(facts: Facts) -> Iterable[Concern]:
    if facts.unreadable:
        line = f"{count(len(facts.unreadable), 'film')} cannot be read; replace or remove them"
        reasons = tuple(reason for _, reason in facts.unreadable)
        yield Concern("unreadable", "invalid", "Unreadable films", line, words=reasons)


def _patients(films: Films, people: Patients) -> Iterable[Concern]:
    of_patient: dict[str | None, list[int]] = {}
    for index, record in enumerate(films.records):
        of_patient.setdefault(record.patient, []).append(index)

    def concern(key: str, weight: Weight, title: str, line: str, who: tuple[str, ...]) -> Iterable[Concern]:
        if who:
            groups = tuple(tuple(of_patient.get(patient, ())) for patient in who)
            yield Concern(key, weight, title, f"{count(len(who), 'patient')} {line}", groups, who)

    yield from concern(
        "patients across splits",
        "invalid",
        "Patients on both sides of a split",
        "with films in more than one split: a reader is tested on people it has seen; split by patient",
        people.crossing,
    )
    yield from concern(
        "patients with several labels",
        "danger",
        "Patients with several labels",
        "with films of different labels: a course of illness, or a mistake; look at them",
        people.both_labels,
    )
    if people.naive and people.naive.merging:
        yield Concern("naive patient key", "danger", "The naive patient key misleads here", naive_line(people))


def naive_line(people: Patients) -> str:
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


def _duplicates(films: Films, pairs: tuple[Pair, ...]) -> Iterable[Concern]:
    across = tuple(pair for pair in pairs if _differ(films, pair, "split"))
    conflicts = tuple(pair for pair in pairs if _differ(films, pair, "label"))
    strangers = tuple(pair for pair in pairs if _differ(films, pair, "patient") and pair not in across)
    within = tuple(pair for pair in pairs if pair not in across and pair not in strangers)
    rows: tuple[tuple[str, Weight, str, str, tuple[Pair, ...]], ...] = (
        ("duplicates across splits", "invalid", "The same film on both sides of a split", _SEEN, across),
        ("label conflicts", "invalid", "The same film with different labels", _CONFLICT, conflicts),
        ("duplicates across patients", "danger", "The same film under different patients", _STRANGERS, strangers),
        ("duplicates", "danger", "Duplicates", _TWICE, within),
    )
    for key, weight, title, advice, chosen in rows:
        if chosen:
            groups = families(chosen, len(films))
            line = f"{_pairs(chosen)}, {count(len(groups), 'film')} stored more than once: {advice}"
            yield Concern(key, weight, title, line, groups, tuple(_family_words(group, chosen) for group in groups))


_SEEN = "a reader is tested on films it has seen; remove one side"
_CONFLICT = "one of the labels is wrong; ask who read them"
_STRANGERS = "a split by patient may put one on each side; find out whose it is"
_TWICE = "each counts twice; keep one"


def _differ(films: Films, pair: Pair, what: str) -> bool:
    first, second = films.records[pair.first], films.records[pair.second]
    return bool(getattr(first, what) != getattr(second, what))


def _pairs(pairs: tuple[Pair, ...]) -> str:
    kinds = Counter(pair.kind for pair in pairs)
    words: dict[Kind, str] = {
        "identical": "pixel for pixel",
        "near": "within 3 gray levels",
        "processed": "processed otherwise",
        "turned": "turned, mirrored or inverted",
    }
    parts = ", ".join(f"{kinds[kind]} {words[kind]}" for kind in words if kinds[kind])
    return f"{count(len(pairs), 'pair')} ({parts})"


def _family_words(group: tuple[int, ...], pairs: tuple[Pair, ...]) -> str:
    turns = {pair.turn if pair.kind == "turned" else pair.kind for pair in pairs if pair.first in group}
    return ", ".join(sorted(turns))


def _files(facts: Facts) -> Iterable[Concern]:
    kind, named = facts.files["kind"], facts.files["named"]
    wrong = [i for i in range(len(facts)) if kind[i] and named[i] and kind[i] != named[i]]
    if wrong:
        line = f"{count(len(wrong), 'film')} named like another kind of file; programs that trust names will fail on it"
        groups, words = tuple((i,) for i in wrong), tuple(f"is {kind[i]}, named {named[i]}" for i in wrong)
        yield Concern("misnamed", "danger", "Files that are not what they are named", line, groups, words)


def _suspects(odd: tuple[Suspect, ...]) -> Iterable[Concern]:
    for kind, (title, advice) in KINDS.items():
        chosen = [suspect for suspect in odd if suspect.kind == kind]
        if chosen:
            groups, words = tuple((suspect.film,) for suspect in chosen), tuple(suspect.words for suspect in chosen)
            yield Concern(kind, "danger", title, f"{count(len(chosen), 'film')}: {advice}", groups, words)


def _shortcuts(told: tuple[Shortcut, ...]) -> Iterable[Concern]:
    dangers = [shortcut for shortcut in told if shortcut.verdict == "danger"]
    if dangers:
        line = f"{len(dangers)} of {len(told)} properties tell the label without a look at the lungs; so may a network"
        words = tuple(
            f"{one.name} tells {one.label}: AUROC {one.auroc:.3f} ({one.low:.3f} to {one.high:.3f}), {one.grade}"
            for one in dangers
        )
        yield Concern("shortcuts", "danger", "Shortcuts", line, words=words)


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "film"), count(2, "film")
    ('1 film', '2 films')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
