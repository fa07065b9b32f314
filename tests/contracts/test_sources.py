"""What every source promises, checked for each row of SOURCES."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lucency.data import SOURCES, Dataset, read_dataset, recognise
from lucency.data.dataset import Sample
from lucency.data.splits import group_holdout, stratified_group_kfold
from lucency.film import Film
from sample_sources import SAMPLES


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(source: str, tmp_path: Path) -> Path:
    return SAMPLES[source](tmp_path)


@pytest.fixture
def films(source: str, root: Path) -> Dataset:
    return read_dataset(root, source)


def test_every_source_is_sampled_and_recognised() -> None:
    assert set(SAMPLES) == set(SOURCES)


def test_it_is_recognised(source: str, root: Path) -> None:
    assert recognise(root) == source


def test_it_says_its_name(source: str, films: Dataset) -> None:
    assert films.source == source


def test_patient_is_known_or_declared_absent(source: str, films: Dataset) -> None:
    if not SOURCES[source].patients_known:
        assert all(record.patient is None for record in films.samples)
        assert any("patients are unknown" in warning for warning in films.warnings)
    else:
        assert films.patients_known


def test_labels_are_known(films: Dataset) -> None:
    assert len(set(films.labels)) == len(films.labels) >= 2
    assert set(films.label_array().ravel().tolist()) == {0, 1}
    assert films.task == "binary"


def test_splits_are_named_as_everywhere(films: Dataset) -> None:
    assert {record.split for record in films.samples} <= {None, "train", "val", "test"}


def test_names_are_unique_and_the_order_is_stable(source: str, root: Path, films: Dataset) -> None:
    names = [record.name for record in films.samples]
    assert len(set(names)) == len(names)
    assert not any(name.startswith("/") or "\\" in name for name in names)
    assert names == [record.name for record in read_dataset(root, source).samples]


def test_names_do_not_depend_on_where_the_data_lies(source: str, films: Dataset, tmp_path: Path) -> None:
    moved = read_dataset(SAMPLES[source](tmp_path / "elsewhere"), source)
    assert [record.name for record in moved.samples] == [record.name for record in films.samples]


def test_films_load_also_from_a_pickle(films: Dataset) -> None:
    for record in films.samples[:: max(1, len(films) // 3)]:
        film, again = record.load(), pickle.loads(pickle.dumps(record)).load()
        assert isinstance(film, Film)
        assert film.pixels.ndim == 2
        assert film.pixels.dtype in (np.uint8, np.uint16)
        np.testing.assert_array_equal(film.pixels, again.pixels)


def test_masks_have_the_size_of_their_film(films: Dataset) -> None:
    for record in films.samples[:4]:
        if record.mask is not None:
            mask = record.mask()
            assert mask.dtype == np.bool_
            assert mask.shape == record.load().pixels.shape


def test_contents_tell_films_apart(films: Dataset) -> None:
    first, last = films.samples[0], films.samples[-1]
    assert replace(first).content_hash == first.content_hash != last.content_hash


def test_a_film_without_a_file_is_decoded_once_for_its_hash(films: Dataset) -> None:
    """Training asks when it caches features and when it saves the run."""
    asked: list[Film] = []

    def load() -> Film:
        asked.append(films.samples[0].load())
        return asked[-1]

    sample = Sample("drawn", 0, load)
    assert sample.content_hash == sample.content_hash
    assert len(asked) == 1


def test_no_patient_is_in_two_splits(films: Dataset) -> None:
    groups = films.groups()
    splits = [
        list(group_holdout(films, 0.3)),
        [held for _, held in stratified_group_kfold(films, 2)],
    ]
    for parts in splits:
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(films)))
        people = [set(groups[part].tolist()) for part in parts]
        assert not set.intersection(*people)
