"""The whole audit: each planted fault is found, and a clean set has no findings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from html_pages import assert_whole_and_silent
from lucency.audit import Audit, Finding, audit
from lucency.audit.report import page
from lucency.audit.shortcuts import PROPERTIES, TOGETHER
from lucency.data import read_dataset
from lucency.data.dataset import Dataset, Sample
from lucency.data.phantom import draw

from .films import COUNT, Loaded, name


def finding(found: Audit, key: str) -> Finding:
    return next(one for one in found.findings if one.key == key)


def named(found: Audit, key: str) -> list[set[str]]:
    """The films of each group of a finding, by name."""
    records = found.measured.films.samples
    return [{records[index].name for index in group} for group in finding(found, key).groups]


@pytest.mark.long
def test_a_clean_set_has_no_findings(clean_audit: Audit) -> None:
    assert clean_audit.findings == ()
    assert clean_audit.to_json()["valid"]
    assert len(clean_audit.measured) == COUNT


@pytest.mark.long
def test_drawn_phantoms_have_no_findings() -> None:
    assert audit(read_dataset("phantom:220:3")).findings == ()


INVALID = {
    "unreadable",
    "patients across splits",
    "duplicates across splits",
    "label conflicts",
}


def test_findings_that_invalidate_results(faulty_audit: Audit) -> None:
    assert {one.key for one in faulty_audit.invalid} == INVALID
    assert not faulty_audit.to_json()["valid"]
    assert [one.severity for one in faulty_audit.findings][: len(INVALID)] == ["invalid"] * len(INVALID)


def test_a_copy_across_splits_exact_and_compressed(faulty_audit: Audit) -> None:
    pairs = named(faulty_audit, "duplicates across splits")
    assert len(pairs) == 2
    assert {name(5, False), "test/NORMAL/IM-0902-0001.jpeg"} in pairs
    assert {name(8, True), "train/PNEUMONIA/person901_virus_901.jpeg"} in pairs
    assert set(finding(faulty_audit, "duplicates across splits").details) == {"identical", "near"}


def test_a_pair_with_swapped_labels(faulty_audit: Audit) -> None:
    assert named(faulty_audit, "label conflicts") == [{name(11, True), "train/NORMAL/IM-0903-0001.jpeg"}]


def test_a_mirrored_copy(faulty_audit: Audit) -> None:
    groups = named(faulty_audit, "duplicates across patients")
    assert {name(13, True), "train/PNEUMONIA/person904_virus_904.jpeg"} in groups
    assert "mirrored" in finding(faulty_audit, "duplicates across patients").details


@pytest.mark.parametrize(
    ("key", "films"),
    [
        ("mirrored", [name(33, True)]),
        ("turned", [name(38, True), name(39, True)]),
        ("colour", ["train/NORMAL/IM-0905-0001.jpeg"]),
        ("stranger", ["train/NORMAL/IM-0906-0001.jpeg"]),
        ("blank", ["train/NORMAL/IM-0908-0001.jpeg"]),
        ("tiny", ["train/PNEUMONIA/person909_virus_909.jpeg"]),
        ("misnamed", ["train/NORMAL/IM-0907-0001.jpeg"]),
    ],
)
def test_odd_films(faulty_audit: Audit, key: str, films: list[str]) -> None:
    found = set().union(*named(faulty_audit, key))
    copies = {"train/PNEUMONIA/person904_virus_904.jpeg"}  # a mirrored film, too
    assert set(films) <= found <= set(films) | copies


def test_a_truncated_film(faulty_audit: Audit) -> None:
    assert [film for film, _ in faulty_audit.measured.unreadable] == [name(43, True)]
    assert "person43_virus_43.jpeg" in finding(faulty_audit, "unreadable").details[0]


def test_a_patient_on_both_sides(faulty_audit: Audit) -> None:
    assert finding(faulty_audit, "patients across splits").details == ("person1_virus",)
    assert named(faulty_audit, "patients across splits") == [{name(1, True), "test/PNEUMONIA/person1_virus_910.jpeg"}]


def test_to_json_is_serialisable_and_names_films(faulty_audit: Audit) -> None:
    text = json.loads(json.dumps(faulty_audit.to_json(), allow_nan=False))
    assert {one["key"] for one in text["findings"] if one["severity"] == "invalid"} == INVALID
    names = {record.name for record in faulty_audit.films.samples}
    assert all(film in names for one in text["findings"] for group in one["groups"] for film in group)
    assert text["films"] == COUNT + 10


def test_the_same_set_gives_the_same_audit(clean_audit: Audit) -> None:
    again = audit(clean_audit.films)
    assert again.to_json() == clean_audit.to_json()


def test_the_page_of_a_faulty_set_is_self_contained(faulty_audit: Audit) -> None:
    text = page(faulty_audit, "chest_xray")
    assert assert_whole_and_silent(text)
    assert "Results on this set would be wrong" in text
    for finding in faulty_audit.findings:
        assert finding.title in text


def test_every_property_is_tested_or_listed_as_constant(clean_audit: Audit) -> None:
    """The drawn films are all of one height, and all JPEG."""
    text = page(clean_audit, "chest_xray")
    constant = re.search("without information: ([^.]*)[.]", text)
    assert constant is not None
    names = {shortcut.name for shortcut in clean_audit.shortcuts} | set(constant[1].split(", "))
    assert names - {TOGETHER} == set(PROPERTIES)
    assert {"height", "file kind"} <= set(constant[1].split(", "))


def test_the_page_of_a_clean_set_says_nothing_found(clean_audit: Audit) -> None:
    text = page(clean_audit, "chest_xray")
    assert "Nothing found" in text
    assert "not a medical device" in text


def test_film_names_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    film = draw((5, 1), True, 64).film
    records = tuple(
        Sample(f"{evil}{i}.png", i, Loaded(np.array(film), evil), patient=f"{evil}{i}", split="train") for i in (0, 1)
    )
    text = page(audit(Dataset(("a", evil), records, source=evil)), evil)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.long
def test_pictures_in_colour_are_no_outliers_of_a_kind_in_colour(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 80, 90, 3)).astype(np.uint8)
    for index, one in enumerate(pixels):
        path = tmp_path / ("mel", "nv")[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(one if index else one[:, :, 0]).save(path)
    films = read_dataset(tmp_path)

    def named(modality: str) -> dict[str, int]:
        return {finding.title: len(finding.groups) for finding in audit(films, modality).findings}

    assert named("skin").get("Without colour") == 1
    assert "In colour" not in named("skin")
    assert named("chest_xray").get("In colour") == 23
    assert "rulers" in page(audit(films, "skin"), "skin")
