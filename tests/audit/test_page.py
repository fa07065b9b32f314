"""The page: whole, silent towards the network, and safe from what films are called."""

from __future__ import annotations

import re

import numpy as np

from html_pages import assert_whole_and_silent
from lucency.audit import Audit, audit
from lucency.audit.page import page
from lucency.audit.shortcuts import PROPERTIES, TOGETHER
from lucency.data.phantom import draw
from lucency.data.record import Films, Record

from .films import Loaded


def test_a_page_of_faults_is_whole_and_needs_nothing_else(faulty_audit: Audit) -> None:
    told = page(faulty_audit, "chest_xray")
    assert assert_whole_and_silent(told)
    assert "Results on this set would be wrong" in told
    for concern in faulty_audit.concerns:
        assert concern.title in told


def test_every_property_is_judged_or_said_to_be_constant(clean_audit: Audit) -> None:
    """The drawn films are as high as each other, and all JPEG."""
    told = page(clean_audit, "chest_xray")
    constant = re.search("telling nothing: ([^.]*)[.]", told)
    assert constant is not None
    names = {shortcut.name for shortcut in clean_audit.shortcuts} | set(constant[1].split(", "))
    assert names - {TOGETHER} == set(PROPERTIES)
    assert {"height", "file kind"} <= set(constant[1].split(", "))


def test_a_clean_page_says_so(clean_audit: Audit) -> None:
    told = page(clean_audit, "chest_xray")
    assert "Nothing found" in told
    assert "not a medical device" in told


def test_names_of_films_are_text() -> None:
    evil = "<script>alert(1)</script>"
    film = draw((5, 1), True, 64).film
    records = tuple(
        Record(f"{evil}{i}.png", i, Loaded(np.array(film), evil), patient=f"{evil}{i}", split="train") for i in (0, 1)
    )
    told = page(audit(Films(("a", evil), records, source=evil)), evil)
    assert "<script>" not in told
    assert "&lt;script&gt;" in told
