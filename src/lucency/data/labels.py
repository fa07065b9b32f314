"""What people call their classes: spellings that mean one class, and which class is the finding."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path

from lucency.errors import SourceError
from lucency.tables import is_missing

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
NEGATIVES, NEGATIONS, ENDINGS, NEVER_NEGATED, ANYTHING, POSITIVES = (
    frozenset(WORDS[name].split())
    for name in ("negatives", "negations", "negations_at_the_end", "never_negated", "anything", "positives")
)

MOST_COMPARED = 200
"""Names whose spellings are compared pair by pair."""
LEAST = 6
"""Letters below which two names that differ in one letter may mean two things: left, lift."""


def fold(name: str) -> str:
    """A name as it is compared: Unicode composed, without case, blanks and punctuation between words made one blank.

    >>> fold(" No_Finding ") == fold("no-finding")
    True
    """
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", name).casefold().replace("_", " ")))


def is_normal(name: str) -> bool:
    """Whether a class is called by nothing being found: normal, healthy lung, no finding; not no_pneumonia."""
    words = fold(name).split()
    if _doubly_negated(words) or any(word in POSITIVES - ANYTHING for word in words):
        return False
    plain = any(word in NEGATIVES and (len(word) > 2 or word == "0") for word in words)
    return "".join(words) in NEGATIVES or plain or (words[:1] != [] and words[0] in NEGATIONS and words[-1] in ANYTHING)


def is_negative(name: str) -> bool:
    """Whether a class is called by the absence of a finding.

    >>> [is_negative(name) for name in ("NORMAL", "no_pneumonia", "Ohne Befund", "pneumonia")]
    [True, True, True, False]
    """
    words = fold(name).split()
    if is_normal(name):
        return True
    if _doubly_negated(words):
        return False
    if not words:
        return False
    negated = len(words) > 1 and (words[0] in NEGATIONS or words[-1] in ENDINGS)
    return negated or any(
        "".join(words).removeprefix(no) in POSITIVES for no in ("no", "non") if words[0].startswith(no)
    )


def is_positive(name: str) -> bool:
    """Whether a class is called by a finding that is known here."""
    words = fold(name).split()
    return not is_negative(name) and (
        _doubly_negated(words) or any(word in POSITIVES for word in [*words, "".join(words)])
    )


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names sorted, those that mean no finding first; of two, a known finding second.

    >>> in_order(("bacteria", "Normal"))
    ('Normal', 'bacteria')
    """
    found = sorted(set(names))
    known = len(found) == 2 and not any(map(is_negative, found))
    return tuple(sorted(found, key=lambda name: (_absence(name), known and is_positive(name), name)))


def finding_is_clear(labels: Sequence[str]) -> bool:
    """Whether the names of two classes tell which of them is the finding."""
    if len(labels) != 2:
        return True
    return is_negative(labels[0]) or (is_positive(labels[1]) and not is_positive(labels[0]))


def merge_spellings(counts: Mapping[str, int], where: str) -> dict[str, str]:
    """One name for each class, whatever its spellings: the most frequent one.

    Args:
        counts: films by name, as written; none of them is missing.
        where: the data set, for messages.

    Returns:
        name as written -> name of its class.

    Raises:
        SourceError: two names differ by one letter, or two mean the absence of a finding.
    """
    groups: dict[str, Counter[str]] = {}
    for name, count in counts.items():
        groups.setdefault(fold(name) or name, Counter())[name] += count
    chosen = {key: max(sorted(group), key=lambda name: group[name]) for key, group in groups.items()}
    _refuse_near(groups, where)
    _refuse_two_negatives(chosen, where)
    return {name: chosen[key] for key, group in groups.items() for name in group}


def matching(labels: Sequence[str], known: Sequence[str], finding: str | None = None) -> list[int] | None:
    """For each of `labels` its place among `known`, whatever the spelling; None where one has none.

    Of two classes, the absence of a finding is the absence of a finding by any name, and `finding`, if the user has
    named it, is the finding.
    """
    places = {fold(name): index for index, name in enumerate(known)}
    if len(known) == 2 and is_negative(known[0]):
        places |= {fold(name): 0 for name in labels if is_negative(name)}
        if finding is not None:
            places.setdefault(fold(finding), 1)
    found = [places.get(fold(name)) for name in labels]
    whole = [place for place in found if place is not None]
    return whole if len(whole) == len(found) and len(set(whole)) == len(whole) else None


def tally(names: Iterable[str]) -> Counter[str]:
    """How many films have each name; those without a name are left out."""
    return Counter(name for name in names if not is_missing(name))


def _absence(name: str) -> int:
    """0 for normal, 1 for the absence of one finding, 2 for a finding."""
    return 2 - is_negative(name) - is_normal(name)


def _doubly_negated(words: list[str]) -> bool:
    """Whether a word of absence is negated itself: not normal; or is no negation at all: non-specific."""
    after = NEGATIVES - NEGATIONS | NEVER_NEGATED
    return any(one in NEGATIONS and other in after for one, other in pairwise(words))


def _refuse_near(groups: Mapping[str, Counter[str]], where: str) -> None:
    for one, other in combinations(sorted(groups)[:MOST_COMPARED], 2):
        if _one_letter_apart(one, other):
            few, many = sorted((one, other), key=lambda key: groups[key].total())
            said = [f"'{next(iter(groups[key]))}' ({groups[key].total()} films)" for key in (few, many)]
            raise SourceError(f"{where}: the labels {said[0]} and {said[1]} differ by one letter; rename one")


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter is missing, added or another, or two are swapped; numbers are left alone."""
    if min(len(one), len(other)) < LEAST or abs(len(one) - len(other)) > 1 or re.search(r"\d", one + other):
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    one, other = one[start:], other[start:]
    return one[1:] == other[1:] or one == other[1:] or one[1:] == other or (one[1::-1] + one[2:]) == other


def _refuse_two_negatives(chosen: Mapping[str, str], where: str) -> None:
    means_none = is_negative if len(chosen) == 2 else is_normal
    negatives = sorted(name for name in chosen.values() if means_none(name))
    if len(negatives) > 1:
        raise SourceError(
            f"{where}: the labels {' and '.join(map(repr, negatives))} both mean no finding; give them one name"
        )
