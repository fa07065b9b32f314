"""Labelled films for the commands that judge."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lucency.data import Films

WHOLE = "all"
"""The split that is every film."""


def labelled_films(
    data: Path | str, source: str = "auto", split: str | None = None, classes: int = 2
) -> tuple[Films, str]:
    """The films of one split, and its name.

    Args:
        data: the folder with the classes, or one above it that holds train/ and test/.
        source: a row of SOURCES, or "auto".
        split: "train", "val", "test" or "all"; by default the test split where there is one, else all films.
        classes: how many classes must have a film; with one, judging tells sensitivity or specificity alone.

    Raises:
        SourceError: the data cannot be read, or has no such split.
    """
    from lucency.data import read_films
    from lucency.errors import SourceError

    films = read_films(data, source, classes)
    splits = Counter(record.split for record in films.records if record.split)
    chosen = split or ("test" if splits["test"] else WHOLE)
    if chosen == WHOLE:
        return films, WHOLE
    if not splits[chosen]:
        there = ", ".join(f"{name} ({count} films)" for name, count in sorted(splits.items())) or "films without splits"
        raise SourceError(f"{data}: expected the split '{chosen}', found {there}; choose another with --split, or all")
    return films.having_split(chosen), chosen
