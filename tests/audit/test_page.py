"""The page: whole, silent towards the network, and safe from what films are called."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np

from lucency.audit import Audit, audit
from lucency.audit.page import page
from lucency.data.phantom import draw
from lucency.data.record import Films, Record

from .films import Loaded


class Tags(HTMLParser):
    """Counts what is open."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_of_faults_is_whole_and_needs_nothing_else(faulty_audit: Audit) -> None:
    told = page(faulty_audit, "chest_xray")
    tags = Tags()
    tags.feed(told)
    assert not tags.open
    assert tags.sources
    assert all(source.startswith(("data:", "#")) for source in tags.sources)
    assert not re.search(r"https?://", told)
    assert "Results on this set would be wrong" in told
    for concern in faulty_audit.concerns:
        assert concern.title in told


def test_a_clean_page_says_so(clean_audit: Audit) -> None:
    told = page(clean_audit, "chest_xray")
    assert "Nothing found" in told
    assert "not for diagnosis" in told


def test_names_of_films_are_text() -> None:
    evil = "<script>alert(1)</script>"
    film = draw((5, 1), True, 64).film
    records = tuple(
        Record(f"{evil}{i}.png", i, Loaded(np.array(film), evil), patient=f"{evil}{i}", split="train") for i in (0, 1)
    )
    told = page(audit(Films(("a", evil), records, source=evil)), evil)
    assert "<script>" not in told
    assert "&lt;script&gt;" in told
