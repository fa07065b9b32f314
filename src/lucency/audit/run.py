"""One pass over the films, then everything that is asked of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lucency
from lucency.audit.concern import Concern, concerns
from lucency.audit.duplicates import Pair, duplicates
from lucency.audit.facts import Facts, gather
from lucency.audit.patients import Patients, patients
from lucency.audit.shortcuts import Shortcut, shortcuts
from lucency.audit.suspects import suspects
from lucency.data.record import Films

SCHEMA = 1
"""Of audit.json."""


@dataclass(frozen=True)
class Audit:
    """What the audit of a data set found."""

    films: Films
    """All films of the set, the unreadable ones, too."""
    facts: Facts
    patients: Patients
    pairs: tuple[Pair, ...]
    shortcuts: tuple[Shortcut, ...]
    concerns: tuple[Concern, ...]

    @property
    def invalid(self) -> tuple[Concern, ...]:
        """What makes results on this set wrong."""
        return tuple(concern for concern in self.concerns if concern.weight == "invalid")

    def to_json(self) -> dict[str, Any]:
        """Everything that was found, for machines; films by name."""
        records = self.facts.films.records
        return {
            "schema": SCHEMA,
            "lucency": lucency.__version__,
            "source": self.films.source,
            "films": len(self.films),
            "valid": not self.invalid,
            "counts": counts(self.films),
            "patients": _patients_json(self.patients),
            "concerns": [
                {
                    "key": concern.key,
                    "weight": concern.weight,
                    "line": concern.line,
                    "groups": [[records[index].name for index in group] for group in concern.groups],
                    "words": list(concern.words),
                }
                for concern in self.concerns
            ],
            "shortcuts": [_shortcut_json(shortcut) for shortcut in self.shortcuts],
            "unreadable": [{"film": name, "reason": reason} for name, reason in self.facts.unreadable],
        }


def audit(films: Films) -> Audit:
    """Look at every film of a data set once, and say what is wrong with the set.

    Raises:
        SourceError: no film at all can be read.
    """
    facts = gather(films)
    people, pairs = patients(films), duplicates(facts)
    told = shortcuts(facts)
    return Audit(films, facts, people, pairs, told, concerns(facts, people, pairs, suspects(facts), told))


def counts(films: Films) -> dict[str, dict[str, int]]:
    """Split to label to number of films; "all" where the source states no split."""
    splits = sorted({record.split or "all" for record in films.records})
    return {split: films.pick(_in_split(films, split)).counts() for split in splits}


def _in_split(films: Films, split: str) -> list[int]:
    return [index for index, record in enumerate(films.records) if (record.split or "all") == split]


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
