from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.data import Dataset, Sample, read_dataset
from lucency.data.splits import group_holdout, split_hash, strata, stratified_group_kfold
from lucency.errors import SourceError, UsageError
from lucency.film import open_film

NOWHERE = partial(open_film, Path("nowhere.png"))


def a_film(index: int, label: int | tuple[int, ...], patient: str | None, cause: str = "") -> Sample:
    return Sample(f"{index:04}.png", label, NOWHERE, patient, columns={"cause": cause} if cause else {})


def dealt(people: list[tuple[int, int]], causes: int = 1) -> Dataset:
    """Films of people given as (label, how many films); the cause of the ill goes round."""
    films: list[Sample] = []
    for number, (label, count) in enumerate(people):
        cause = f"c{number % causes}" if label else "none"
        films += [a_film(len(films) + at, label, f"p{number}", cause) for at in range(count)]
    return Dataset(("normal", "pneumonia"), tuple(films), source="made")


PEOPLE = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), max_size=60).map(
    lambda people: [(0, 2), (1, 3)] * 5 + people
)


@given(PEOPLE, st.integers(2, 5), st.integers(0, 3), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_folds_hold_out_each_film_once_and_no_patient_twice(
    people: list[tuple[int, int]], folds: int, seed: int, causes: int
) -> None:
    films = dealt(people, causes)
    groups = films.groups()
    parts = stratified_group_kfold(films, folds, seed)
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(len(films)))
    for train, held in parts:
        assert not set(groups[train]) & set(groups[held])
        assert len(train) + len(held) == len(films)
        assert set(films.label_array()[held]) == {0, 1}


@given(PEOPLE, st.integers(2, 5), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_folds_differ_in_a_stratum_by_no_more_than_its_largest_patient(
    people: list[tuple[int, int]], folds: int, causes: int
) -> None:
    """What longest-first dealing to the emptiest promises (Graham 1969)."""
    films = dealt(people, causes)
    rows = strata(films)
    held = np.array([rows[held].sum(axis=0) for _, held in stratified_group_kfold(films, folds)])
    largest = [max(np.bincount(films.groups()[rows[:, column] == 1])) for column in range(rows.shape[1])]
    assert (np.ptp(held, axis=0) <= largest).all()


@given(PEOPLE, st.floats(0.1, 0.5))
@settings(deadline=None, max_examples=60)
def test_hold_out_keeps_every_class_on_both_sides(people: list[tuple[int, int]], fraction: float) -> None:
    films = dealt(people)
    kept, held = group_holdout(films, fraction)
    assert sorted([*kept, *held]) == list(range(len(films)))
    assert not set(films.groups()[kept]) & set(films.groups()[held])
    for side in (kept, held):
        assert set(films.label_array()[side]) == {0, 1}


def test_hold_out_of_many_single_films_is_exact() -> None:
    films = dealt([(int(number % 4 > 0), 1) for number in range(400)])
    _, held = group_holdout(films, 0.1)
    assert Counter(films.label_array()[held].tolist()) == {0: 10, 1: 30}


def test_the_finer_label_is_balanced_too() -> None:
    films = dealt([(1, 1)] * 60 + [(0, 1)] * 30, causes=3)
    for _, held in stratified_group_kfold(films, 5):
        assert Counter(films.samples[index].columns["cause"] for index in held) == {
            "c0": 4,
            "c1": 4,
            "c2": 4,
            "none": 6,
        }


def test_several_findings_are_balanced() -> None:
    labels = [(1, 0), (0, 1), (1, 1), (0, 0)] * 20
    films = Dataset(("a", "b"), tuple(a_film(at, label, f"p{at}") for at, label in enumerate(labels)), "multilabel")
    for _, held in stratified_group_kfold(films, 4):
        assert films.label_array()[held].sum(axis=0).tolist() == [10, 10]


def test_same_seed_same_folds_whatever_the_order_of_the_films() -> None:
    films = dealt([(number % 2, 1 + number % 3) for number in range(40)])
    turned = replace(films, samples=films.samples[::-1])

    def names(films: Dataset, seed: int) -> list[set[str]]:
        return [{films.samples[index].name for index in held} for _, held in stratified_group_kfold(films, 4, seed)]

    assert names(films, 7) == names(turned, 7)
    assert names(films, 7) != names(films, 8)


def test_films_of_unknown_patients_stand_alone() -> None:
    films = Dataset(("a", "b"), tuple(a_film(index, index % 2, None) for index in range(40)))
    assert sorted(len(held) for _, held in stratified_group_kfold(films, 4)) == [10, 10, 10, 10]


def test_split_hash_is_of_the_names_alone() -> None:
    films = dealt([(0, 3), (1, 3)])
    # printf '0001.png\n0003.png\n' | sha256sum
    expected = "e156032a4021d8dba1043d46a08e116117d0545cbaf04856adc891cc1a403b3b"
    assert split_hash(films, [3, 1]) == split_hash(films, np.array([1, 3])) == expected
    assert split_hash(films, [1, 2]) != expected


def test_too_few_patients() -> None:
    films = dealt([(0, 9)] * 6 + [(1, 9)] * 3)
    with pytest.raises(SourceError, match="class 'pneumonia' has 3 patients, expected at least 5"):
        stratified_group_kfold(films, 5)
    with pytest.raises(SourceError, match="class 'pneumonia' has a single patient"):
        group_holdout(dealt([(0, 1), (0, 1), (1, 9)]), 0.1)


def test_numbers_that_make_no_sense() -> None:
    films = dealt([(0, 1), (1, 1)] * 4)
    with pytest.raises(UsageError, match="at least 2 folds, received 1"):
        stratified_group_kfold(films, 1)
    for fraction in (0.0, 1.0, -0.1):
        with pytest.raises(UsageError, match="between 0 and 1"):
            group_holdout(films, fraction)


def test_the_real_films_as_well_as_scikit_learn(shared: Path) -> None:
    """No fold is further from its share, in any cause, than with StratifiedGroupKFold."""
    from sklearn.model_selection import StratifiedGroupKFold

    films = read_dataset(shared / "data" / "kermany224")
    usual = [index for index, sample in enumerate(films.samples) if not sample.columns.get("setting")]
    films = films.subset(usual)  # rare settings go to one fold whole
    rows, groups = strata(films), films.groups()
    ours = [rows[held].sum(axis=0) for _, held in stratified_group_kfold(films, 5)]
    theirs = StratifiedGroupKFold(5).split(groups, rows.argmax(axis=1), groups)
    spread = np.ptp([rows[held].sum(axis=0) for _, held in theirs], axis=0)
    assert (np.ptp(ours, axis=0) <= spread).all()
    assert np.ptp(ours, axis=0).max() <= 1


def test_a_rare_setting_is_left_out_whole_by_one_fold_each() -> None:
    """Five blocks of normals, five folds: each fold holds one of them, and no other film moves."""
    films = read_dataset("phantom:60")
    groups, normal = films.groups(), np.flatnonzero(films.label_array() == 0)
    patients = {group: number for number, group in enumerate(dict.fromkeys(groups[normal].tolist()))}
    settings = {
        index: f"block {patients[groups[index]] % 5}" for index in normal.tolist() if patients[groups[index]] < 10
    }
    marked = replace(
        films,
        samples=tuple(
            replace(sample, columns={**sample.columns, "setting": settings[index]}) if index in settings else sample
            for index, sample in enumerate(films.samples)
        ),
    )
    plain, moved = (stratified_group_kfold(each, 5) for each in (films, marked))
    for fold, (_, held) in enumerate(moved):
        assert {settings[index] for index in held if index in settings} == {f"block {fold}"}
        assert {i for i in held if i not in settings} == {i for i in plain[fold][1] if i not in settings}
