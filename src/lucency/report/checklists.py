"""Reporting guidelines (checklists/*.toml), filled in from the context only (answers.toml)."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from lucency import __version__, compat
from lucency.evaluate.confidence_intervals import LEVEL, METHOD
from lucency.report import metric_text
from lucency.report.context import ReportContext

Status = Literal["filled", "partly", "author"]
STATUS_TEXT: dict[Status, str] = {"filled": "filled", "partly": "partly", "author": "the author's to fill"}
FOLDER = Path(__file__).with_name("checklists")
NAMES = ("model-facts", "tripod-ai", "claim-2024")
RESEARCH = "Research use only; not a medical device."


@dataclass(frozen=True)
class Answer:
    """The answer to an item."""

    status: Status
    text: str = ""
    """Empty if only the author can answer."""


@dataclass(frozen=True)
class Item:
    """One item of a guideline; `asks` is our summary, the guideline's own words count."""

    number: str
    section: str
    asks: str
    answer: str
    """A table of answers.toml, or `author`."""


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
class FilledChecklist:
    """A guideline with its answers."""

    guideline: Guideline
    rows: tuple[tuple[Item, Answer], ...]

    @property
    def counts(self) -> dict[Status, int]:
        """Items by status."""
        tally = Counter(answer.status for _, answer in self.rows)
        return {status: tally[status] for status in STATUS_TEXT}


@cache
def guidelines() -> tuple[Guideline, ...]:
    """The guidelines, in the order of reports."""
    found = []
    for name in NAMES:
        content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        items = tuple(Item(*row) for row in content.pop("items"))
        found.append(Guideline(**content, items=items, file=f"{name}.md"))
    return tuple(found)


def fill(guideline: Guideline, context: ReportContext) -> FilledChecklist:
    """Answer every item from the context."""
    answers = answer_all(context)
    return FilledChecklist(
        guideline, tuple((item, answers.get(item.answer, Answer("author"))) for item in guideline.items)
    )


def answer_all(context: ReportContext) -> dict[str, Answer]:
    """The answers of answers.toml that have a text."""
    environment, variables = markdown_environment(), _variables(context)
    templates: Mapping[str, Mapping[Status, str]] = tomllib.loads((FOLDER / "answers.toml").read_text(encoding="utf-8"))
    answers = {}
    for name, by_status in templates.items():
        for status, template in by_status.items():
            if text := " ".join(environment.from_string(template).render(variables).split()):
                answers[name] = Answer(status, text)
    return answers


def markdown_environment() -> Environment:
    """Jinja for text that is not HTML, with this package's templates."""
    environment = Environment(
        loader=PackageLoader("lucency.report", "."),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = lambda text: json.dumps(text, ensure_ascii=False)
    return environment


def _variables(context: ReportContext) -> dict[str, Any]:
    training, recipe = context.card.training, compat.rename_recipe(context.card.training.recipe)
    total = context.report.films + context.unread
    measures = metric_text.figures(context)
    return {
        "context": context,
        "card": context.card,
        "report": context.report,
        "text": metric_text,
        "recipe": {"model": {}, "data": {}, **recipe},
        "finding": metric_text.finding(context),
        "phases": [_phase(name, recipe[name]) for name in ("head", "finetune") if recipe.get(name)],
        "augmentation": ", ".join(f"{k} {v}" for k, v in recipe.get("augment", {}).items() if v not in (0, False)),
        "columns": list(dict.fromkeys(part.column for part in context.subgroups)),
        "measure_titles": list(dict.fromkeys(metric_text.title(one.name) for one in measures)),
        "performance": [f"{metric_text.title(one.name)} {one}" for one in measures if one.value is not None],
        "versions": ", ".join(f"{name} {number}" for name, number in training.versions.items()),
        "unread": f"{context.unread} of {total:,} films could not be read and are in no figure; report.json lists them."
        if context.unread
        else f"All {total:,} films could be read.",
        "version": __version__,
        "level": LEVEL,
        "method": METHOD,
        "research": RESEARCH,
    }


def _phase(name: str, settings: Mapping[str, Any]) -> str:
    shown = ("epochs", "batch", "lr", "schedule", "unfreeze_blocks")
    return f"{name}: " + ", ".join(f"{key} {settings[key]}" for key in shown if key in settings)


def summary(checklist: FilledChecklist) -> str:
    """How much of a checklist is filled, in a line.

    For example: 20 of 52 items filled, 14 partly, 18 the author's to fill
    """
    counts = checklist.counts
    whole = f"{counts['filled']} of {len(checklist.rows)} items filled"
    return f"{whole}, {counts['partly']} partly, {counts['author']} the author's to fill"


def markdown(checklist: FilledChecklist) -> str:
    """The checklist as a Markdown file."""
    guideline = checklist.guideline
    lines = [
        f"# {guideline.name}",
        "",
        f"{guideline.about} {guideline.citation}",
        "",
        f"Filled in by lucency from what it knows: {summary(checklist)}. Items are summarised in our words; the "
        "published wording counts. Nothing here is invented: what is missing is the author's to write.",
        "",
        "| item | section | asks | status | answer |",
        "|---|---|---|---|---|",
    ]
    for item, answer in checklist.rows:
        cells = (item.number, item.section, item.asks, STATUS_TEXT[answer.status], answer.text or "…")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
