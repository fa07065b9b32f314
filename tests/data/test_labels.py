"""Class names mean what people mean by them."""

from __future__ import annotations

import unicodedata

import pytest

from lucency.data.labels import finding_is_clear, in_order, is_negative, is_positive, matching, merge_spellings
from lucency.errors import SourceError

NEGATIVE = (
    "NORMAL|normal lung|Healthy|no_pneumonia|No Pneumonia|NonCOVID|non-COVID|COVID_NEGATIVE|Ohne Befund|o.B.|"
    "unauffällig|keine Pneumonie|gesund|sano|sin hallazgos|pas de pneumonie|sain|negative for pneumonia|0|no|neg|"
    "No Finding|no_finding|nofinding|within normal limits|pneumonia-free|class 0|正常"
)
POSITIVE = (
    "pneumonia|PNEUMONIA|Lungenentzündung|Abnormal|not normal|viral pneumonia|COVID-19|1|yes|"
    "No Lung Opacity / Not Normal"
)


@pytest.mark.parametrize("name", NEGATIVE.split("|"))
def test_absence(name: str) -> None:
    assert is_negative(name)
    assert not is_positive(name)
    assert in_order((name, "pneumonia")) == (name, "pneumonia")


@pytest.mark.parametrize("name", POSITIVE.split("|"))
def test_findings(name: str) -> None:
    assert is_positive(name)
    assert not is_negative(name)
    assert finding_is_clear(in_order((name, "Z")))


def test_the_finding_of_two_unknown_names_is_not_guessed() -> None:
    assert not finding_is_clear(in_order(("a", "b")))
    assert not finding_is_clear(in_order(("bacteria", "virus")))


def test_spellings_are_one_class() -> None:
    decomposed = unicodedata.normalize("NFD", "unauffällig")
    counts = {"NORMAL": 2, "normal": 3, " Normal ": 1, "Pneumonia": 1, "PNEUMONIA": 1}
    assert set(merge_spellings(counts, "x").values()) == {"normal", "PNEUMONIA"}
    assert len(set(merge_spellings({"unauffällig": 1, decomposed: 1, "krank": 2}, "x").values())) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("pneumonia", "pnuemonia", "normal"), "'pnuemonia' .* differ by one letter"),
        (("effusion", "effusions"), "differ by one letter"),
        (("normal", "healthy", "pneumonia"), "'healthy' and 'normal' both mean no finding"),
        (("no_pneumonia", "normal"), "both mean no finding"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        merge_spellings(dict.fromkeys(names, 1), "x")


@pytest.mark.parametrize(
    "names",
    [
        ("COVID-19", "Non-COVID", "Normal"),
        ("Lung Opacity", "No Lung Opacity / Not Normal", "Normal"),
        ("grade 10", "grade 11", "grade 12"),
        ("left", "lift", "normal"),
    ],
)
def test_names_that_can_are_not(names: tuple[str, ...]) -> None:
    assert set(merge_spellings(dict.fromkeys(names, 1), "x").values()) == set(names)


def test_labels_match_those_of_a_reader_by_meaning() -> None:
    ours = ("normal", "pneumonia")
    assert matching(("PNEUMONIA", "Healthy"), ours) == [1, 0]
    assert matching(("Ohne Befund", "Lungenentzündung"), ours) is None
    assert matching(("Ohne Befund", "Lungenentzündung"), ours, "Lungenentzündung") == [0, 1]
    assert matching(("COVID", "healthy"), ("Healthy", "Covid")) == [1, 0]
