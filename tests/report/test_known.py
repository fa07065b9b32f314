"""What is known of a source, and what is not."""

from __future__ import annotations

from lucency.data import SOURCES
from lucency.report.known import source_facts

from .samples import known, unknown


def test_what_sources_state() -> None:
    assert source_facts("kermany")["Licence"] == "CC BY 4.0."
    assert "10.1016/j.cell.2018.02.010" in source_facts("kermany")["Citation"]
    assert source_facts("phantom")["Population"].startswith("Nobody")
    assert source_facts("folder") == source_facts("no such source") == source_facts("") == {}


def test_no_source_states_half_a_line() -> None:
    for name in SOURCES:
        for fact, words in source_facts(name).items():
            assert fact in ("Population", "Films", "Citation", "Licence")
            assert words
            assert "\n" not in words


def test_films_that_may_have_been_learned_from() -> None:
    assert not known().may_have_seen
    assert known(split="all").may_have_seen
    assert not known(split="all", source="folder").may_have_seen


def test_parts_by_the_columns_there_are() -> None:
    assert {part.column for part in known().parts} == {"cause", "sex"}
    assert unknown().parts == ()
    assert known().shows is not None
