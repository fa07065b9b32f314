"""A reader's answers for a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle, write_films
from lucency.data import Dataset, read_dataset
from lucency.errors import SourceError
from lucency.reader import Reader
from lucency.reader import predict as module
from lucency.reader.predict import as_labelled, predict


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader.open(write_brightness_bundle(tmp_path_factory.mktemp("predict") / "bundle"))


def test_order_labels_and_patients(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)  # so that seven films take three turns
    films = read_dataset(write_films(tmp_path, [40, 60, 80, 100], [160, 180, 200]))
    found = predict(reader, films)
    assert found.unreadable == ()
    assert found.predictions.names == tuple(record.name for record in films.samples)
    assert found.predictions.patients == tuple(record.patient for record in films.samples)
    assert found.predictions.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert found.predictions.label_names == ("normal", "pneumonia")
    expected = [(gray - 128) / 16 for gray in (40, 60, 80, 100, 160, 180, 200)]
    assert found.predictions.logits[:, 0] == pytest.approx(expected, abs=0.01)


def test_a_bad_film_costs_no_other(reader: Reader, tmp_path: Path) -> None:
    root = write_films(tmp_path, [40, 60], [160, 180])
    (root / "NORMAL" / "IM-0500-0001.png").write_bytes(b"no film")
    found = predict(reader, read_dataset(root))
    assert len(found.predictions.names) == 4
    assert ["IM-0500-0001.png" in str(error) for error in found.unreadable] == [True]


def test_no_film_at_all(reader: Reader, tmp_path: Path) -> None:
    root = write_films(tmp_path, [40, 60], [160, 180])
    for file in root.rglob("*.png"):
        file.write_bytes(b"no film")
    with pytest.raises(SourceError, match="none of 4 could be read"):
        predict(reader, read_dataset(root))


def test_labels_are_numbered_as_the_reader_numbers_them() -> None:
    films = read_dataset("phantom:6")
    turned = as_labelled(replace(films, labels=("Pneumonia", "Normal")), ("normal", "pneumonia"))
    assert turned.labels == ("normal", "pneumonia")
    assert turned.label_array().tolist() == [1 - label for label in films.label_array()]


def test_labels_that_the_reader_lacks() -> None:
    films: Dataset = replace(read_dataset("phantom:2"), labels=("cat", "dog"))
    with pytest.raises(SourceError, match="expected the labels normal, pneumonia, found cat, dog"):
        as_labelled(films, ("normal", "pneumonia"))
