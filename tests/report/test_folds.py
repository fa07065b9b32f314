"""Which reader judged which film of a cross-validated run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucency.data import Dataset, read_dataset
from lucency.data.splits import SPLIT_SEED, stratified_group_kfold
from lucency.report import folds_of
from lucency.report.folds import reader_of_film


def test_folds_are_in_order_and_finished(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"fold-{number}").mkdir()
        if number != 11:
            (tmp_path / f"fold-{number}" / "card.json").write_text("{}")
    assert [fold.name for fold in folds_of(tmp_path)] == [f"fold-{number}" for number in range(1, 11)]
    (tmp_path / "card.json").write_text("{}")
    assert folds_of(tmp_path) == ()
    assert folds_of(tmp_path / "nothing") == ()


def test_each_film_has_the_reader_that_never_saw_its_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    films: Dataset = read_dataset("phantom:60")
    folds = tuple(Path(f"fold-{number}") for number in (1, 2, 3))
    monkeypatch.setattr("lucency.reader.Reader.open", lambda path: path)
    of = reader_of_film(folds, films)
    for fold, (rest, held) in zip(folds, stratified_group_kfold(films, 3, SPLIT_SEED), strict=True):
        assert {of(films.samples[index].name) for index in held} == {fold}
        patients = {films.samples[index].patient for index in rest}
        assert all(films.samples[index].patient not in patients for index in held)
