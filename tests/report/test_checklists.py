"""Checklists: every published item, filled from the context only."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace

import pytest

from lucency.report import ReportContext
from lucency.report.checklists import FOLDER, Guideline, fill, guidelines, markdown, summary

from .samples import known, unknown

KNOWN, UNKNOWN = known(), unknown()
MODEL_FACTS, TRIPOD, CLAIM = GUIDELINES = guidelines()
TRIPOD_NUMBERS = (
    "1 2 3a 3b 3c 4 5a 5b 6a 6b 6c 7 8a 8b 8c 9a 9b 9c 10 11 12a 12b 12c 12d 12e 12f 12g 13 14 15 16 17 18a 18b 18c "
    "18d 18e 18f 19 20a 20b 20c 21 22 23a 23b 24 25 26 27a 27b 27c"
)
"""The 52 items of Collins et al. 2024."""


def test_all_published_items_are_listed() -> None:
    numbers = {guideline.name: [item.number for item in guideline.items] for guideline in GUIDELINES}
    assert " ".join(numbers["TRIPOD+AI checklist"]) == TRIPOD_NUMBERS
    assert len(numbers["TRIPOD+AI checklist"]) == 52
    assert numbers["CLAIM 2024 checklist"] == [str(i) for i in range(1, 45)]


@pytest.mark.parametrize("reader", [KNOWN, UNKNOWN], ids=["known", "unknown"])
@pytest.mark.parametrize("guideline", GUIDELINES, ids=lambda guideline: guideline.name)
def test_author_items_are_not_filled(guideline: Guideline, reader: ReportContext) -> None:
    for item, answer in fill(guideline, reader).rows:
        assert bool(answer.text) == (answer.status != "author"), item.number
        assert "None" not in answer.text, item.number
        assert "  " not in answer.text, item.number


def status(reader: ReportContext, guideline: Guideline, number: str) -> str:
    return next(answer.status for item, answer in fill(guideline, reader).rows if item.number == number)


@pytest.mark.parametrize("number", ["2", "3b", "3c", "5b", "6b", "14", "17", "18a", "18b", "18c", "18d", "19", "25"])
def test_items_that_only_an_author_can_fill(number: str) -> None:
    assert status(KNOWN, TRIPOD, number) == "author"


@pytest.mark.parametrize("number", ["6a", "8b", "12a", "12c", "13", "18e", "20b"])
def test_unknown_facts_are_not_filled(number: str) -> None:
    assert status(KNOWN, TRIPOD, number) in ("filled", "partly")
    assert status(UNKNOWN, TRIPOD, number) == "author"


def text(reader: ReportContext, number: str) -> str:
    return next(answer.text for item, answer in fill(TRIPOD, reader).rows if item.number == number)


def test_answers_have_the_reports_figures() -> None:
    auroc = KNOWN.report.measure("auroc")
    assert f"AUROC {auroc}" in text(KNOWN, "23a")
    assert "called at or above 0.5, chosen by Youden, on 400 validation films" in text(KNOWN, "15")
    assert "1 of 121 films could not be read" in text(KNOWN, "11")
    assert "All 120 films could be read" in text(UNKNOWN, "11")
    assert "training films" not in text(KNOWN, "23a")
    assert "flatters" in next(
        answer.text for item, answer in fill(TRIPOD, known(split="all")).rows if item.number == "23a"
    )


def test_markdown_has_a_row_per_item() -> None:
    done = fill(MODEL_FACTS, KNOWN)
    text = markdown(done)
    rows = re.findall(r"^\| \d+ \|.*\|$", text, re.MULTILINE)
    assert len(rows) == len(MODEL_FACTS.items)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert summary(done) in text
    assert sum(done.counts.values()) == len(rows)


def test_every_answer_is_used_and_every_item_has_one() -> None:
    used = {item.answer for guideline in GUIDELINES for item in guideline.items} - {"author"}
    assert used == set(tomllib.loads((FOLDER / "answers.toml").read_text(encoding="utf-8")))


def test_partitions_are_disjoint_under_cross_validation() -> None:
    assert status(KNOWN, CLAIM, "20") == "partly"
    assert status(replace(KNOWN, cross_validated=True), CLAIM, "20") == "filled"
