"""A reporting guideline as a list of items, filled in from what is known and from nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lucency.report.known import Known

Status = Literal["filled", "partly", "author"]
WORDS: dict[Status, str] = {"filled": "filled", "partly": "partly", "author": "the author's to fill"}


@dataclass(frozen=True)
class Answer:
    """What can be said to an item."""

    status: Status
    text: str = ""
    """Empty where it is the author's alone."""


@dataclass(frozen=True)
class Item:
    """One item of a guideline; `asks` is our summary, the guideline's own words count."""

    number: str
    section: str
    asks: str
    answer: Callable[[Known], Answer]


@dataclass(frozen=True)
class Guideline:
    """A reporting guideline."""

    name: str
    about: str
    citation: str
    items: tuple[Item, ...]
    file: str
    """Name of the Markdown file."""


@dataclass(frozen=True)
class Filled:
    """A guideline with its answers."""

    guideline: Guideline
    rows: tuple[tuple[Item, Answer], ...]

    @property
    def counts(self) -> dict[Status, int]:
        """Items by status."""
        tally = Counter(answer.status for _, answer in self.rows)
        return {status: tally[status] for status in WORDS}


def fill(guideline: Guideline, known: Known) -> Filled:
    """Answer every item from what is known."""
    return Filled(guideline, tuple((item, item.answer(known)) for item in guideline.items))


def author(known: Known) -> Answer:
    """Nothing that a program can know."""
    return Answer("author")


def filled(text: str) -> Answer:
    """The item is answered."""
    return Answer("filled", text)


def partly(text: str) -> Answer:
    """A part of the item is answered; the rest is the author's."""
    return Answer("partly", text)


def summary(done: Filled) -> str:
    """How far a checklist is filled, in a line.

    For example: 20 of 52 items filled, 14 partly, 18 the author's to fill
    """
    counts = done.counts
    whole = f"{counts['filled']} of {len(done.rows)} items filled"
    return f"{whole}, {counts['partly']} partly, {counts['author']} the author's to fill"


def markdown(done: Filled) -> str:
    """The checklist as a Markdown file."""
    guideline = done.guideline
    lines = [
        f"# {guideline.name}",
        "",
        f"{guideline.about} {guideline.citation}",
        "",
        f"Filled in by lucency from what it knows: {summary(done)}. Items are summarised in our words; the published "
        "wording counts. Nothing here was invented: what is missing is the author's to write.",
        "",
        "| item | section | asks | status | answer |",
        "|---|---|---|---|---|",
    ]
    for item, answer in done.rows:
        cells = (item.number, item.section, item.asks, WORDS[answer.status], answer.text or "…")
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
