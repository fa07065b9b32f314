"""Films as squares, their aspects, and who gives to whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.films import as_films, chest
from lucency.data.acquisition_pairs import ASPECTS, SHARES, donor_pools, draws, require_two_classes, squares_of
from lucency.data.dataset import Dataset
from lucency.errors import SourceError, UsageError
from lucency.film import Film


def some(count: int = 6, source: str = "test") -> Dataset:
    return as_films([chest(k) for k in range(count)], [k % 2 for k in range(count)], source)


def test_pools_are_the_other_class_the_own_or_all() -> None:
    films = some()
    assert donor_pools(films, "other")[0].tolist() == [1, 3, 5]
    assert donor_pools(films, "same")[0].tolist() == [0, 2, 4]
    assert donor_pools(films, "any")[1].tolist() == list(range(6))


def test_one_class_alone_has_no_donors() -> None:
    with pytest.raises(SourceError, match="pneumonia"):
        donor_pools(as_films([chest(0), chest(1)], [0, 0]), "other")


def test_draws_follow_from_name_and_seed_alone() -> None:
    assert draws("a", 1).integers(2**60) == draws("a", 1).integers(2**60)
    assert len({int(draws(name, seed).integers(2**60)) for name in "ab" for seed in (1, 2)}) == 4


def test_a_stored_aspect_counts_before_a_known_one_and_that_before_a_drawn_one() -> None:
    wide = np.tile(chest(0), (1, 2))
    films = as_films([wide, chest(1), chest(2)], [0, 1, 0], "kermany")
    squares = squares_of(films, {"film-0": 9.0, "film-1": 1.7})
    assert [one.aspect for one in squares.acquisitions[:2]] == [2.0, 1.7]
    assert ASPECTS["normal"][0] <= squares.acquisitions[2].aspect <= ASPECTS["normal"][-1]
    assert squares.known[:2].tolist() == [2.0, 1.7]
    assert np.isnan(squares.known[2])  # a drawn one would tell the class
    assert squares.stored.tolist() == [2.0, 1.0, 1.0]


def test_nothing_is_drawn_for_films_of_elsewhere() -> None:
    assert {one.aspect for one in squares_of(some()).acquisitions} == {1.0}


def test_the_table_of_aspects_ascends() -> None:
    for table in (SHARES, *ASPECTS.values()):
        assert list(table) == sorted(table)
    assert {len(table) for table in ASPECTS.values()} == {len(SHARES)}


def test_of_three_classes_any_other_gives() -> None:
    films = replace(some(), labels=("a", "b", "c"), task="multiclass")
    films = replace(films, samples=tuple(replace(one, label=k % 3) for k, one in enumerate(films.samples)))
    assert donor_pools(films, "other")[1].tolist() == [0, 2, 3, 5]
    assert donor_pools(films, "same")[2].tolist() == [2, 5]


def test_colour_is_kept_where_it_is_wanted() -> None:
    rgb = np.stack([chest(0), chest(1), chest(2)], axis=2)
    films = as_films([chest(0), chest(1)], [0, 1])
    films = replace(films, samples=tuple(replace(one, load=lambda: Film.of_rgb(rgb)) for one in films.samples))
    assert np.array_equal(squares_of(films, channels=3).pixels[1], rgb)
    assert squares_of(films).pixels.shape == (2, 224, 224)


def test_films_with_several_findings_are_refused() -> None:
    with pytest.raises(UsageError, match="one class each"):
        squares_of(replace(some(), task="multilabel"))


def test_what_needs_two_classes_refuses_more() -> None:
    with pytest.raises(UsageError, match="a search needs two classes"):
        require_two_classes(replace(some(), labels=("a", "b", "c"), task="multiclass"), "a search")
