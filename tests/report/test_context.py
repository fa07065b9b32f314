"""The context of a report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from lucency.data import SOURCES, Dataset, read_dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.report.context import SourceFacts, folds_of, reader_of_film, source_facts

from .samples import known, unknown


def test_source_facts() -> None:
    assert source_facts("kermany").licence == "CC BY 4.0."
    assert "10.1016/j.cell.2018.02.010" in source_facts("kermany").citation
    assert source_facts("phantom").population.startswith("Nobody")
    assert source_facts("folder") == source_facts("no such source") == source_facts("") == SourceFacts()


def test_source_facts_are_one_line() -> None:
    for name in SOURCES:
        assert not any("\n" in text for text in asdict(source_facts(name)).values())


def test_films_that_may_overlap_with_training() -> None:
    assert not known().may_overlap
    assert known(split="all").may_overlap
    assert not known(split="all", source="folder").may_overlap


def test_subgroups_by_existing_columns() -> None:
    assert {part.column for part in known().subgroups} == {"cause", "sex"}
    assert unknown().subgroups == ()
    assert known().detectable is not None


def test_folds_of_lists_finished_folds_in_order(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"fold-{number}").mkdir()
        if number != 11:
            (tmp_path / f"fold-{number}" / "card.json").write_text("{}")
    assert [fold.name for fold in folds_of(tmp_path)] == [f"fold-{number}" for number in range(1, 11)]
    (tmp_path / "card.json").write_text("{}")
    assert folds_of(tmp_path) == ()
    assert folds_of(tmp_path / "nothing") == ()


def test_each_film_has_the_reader_of_its_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    films: Dataset = read_dataset("phantom:60")
    folds = tuple(Path(f"fold-{number}") for number in (1, 2, 3))
    monkeypatch.setattr("lucency.reader.Reader.open", lambda path: path)
    of = reader_of_film(folds, films)
    for fold, (rest, held) in zip(folds, stratified_group_kfold(films, 3, SPLIT_SEED), strict=True):
        assert {of(films.samples[index].name) for index in held} == {fold}
        patients = {films.samples[index].patient for index in rest}
        assert all(films.samples[index].patient not in patients for index in held)
