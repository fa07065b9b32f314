from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lucency.data import read_dataset
from lucency.data.dataset import Dataset, Sample
from lucency.errors import FilmError, OutputError, SourceError
from lucency.film import Film
from lucency.models import Classifier, build
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings
from lucency.train import features
from lucency.train.features import network_digest, pooled_features

SQUARE = Preprocess(32, "crop")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return build(ModelSettings(width=0.35))


@pytest.fixture(scope="module")
def films() -> Dataset:
    return read_dataset("phantom:40")


def broken() -> Film:
    raise FilmError("bad.png: expected an image, found text")


@pytest.mark.long
def test_features_equal_the_pooled_activations(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    found = pooled_features(classifier, films, SQUARE, tmp_path)
    gray = torch.from_numpy(np.stack([SQUARE(record.load()) for record in films.samples])).unsqueeze(1).float()
    classifier.eval()
    with torch.no_grad():
        expected = classifier.activations(gray).mean((2, 3)).numpy()
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)


def test_the_second_call_reads_the_cache(
    classifier: Classifier, films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pooled_features(classifier, films, SQUARE, tmp_path)
    monkeypatch.setattr(features, "pooled", lambda *_: pytest.fail("computed again"))
    again = pooled_features(classifier, films, SQUARE, tmp_path)
    assert np.array_equal(first.vectors, again.vectors)


@pytest.mark.long
def test_a_crash_keeps_the_finished_batches(
    classifier: Classifier, films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "BATCH", 8)
    original, calls = features.pooled, []

    def crash(*args: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "pooled", crash)
    with pytest.raises(KeyboardInterrupt):
        pooled_features(classifier, films, SQUARE, tmp_path)
    with closing(sqlite3.connect(tmp_path / "features.sqlite")) as base:
        assert base.execute("SELECT COUNT(*) FROM vectors").fetchone() == (16,)
    found = pooled_features(classifier, films, SQUARE, tmp_path)
    assert len(calls) == 3 + 3
    monkeypatch.undo()
    np.testing.assert_allclose(
        found.vectors, pooled_features(classifier, films, SQUARE, tmp_path / "new").vectors, atol=1e-5
    )


def test_the_key_depends_on_weights_and_preprocessing_but_not_the_head(classifier: Classifier) -> None:
    before = network_digest(classifier, SQUARE)
    assert before == network_digest(classifier, Preprocess(32, "crop"))
    assert before != network_digest(classifier, Preprocess(32, "pad"))
    with torch.no_grad():
        classifier.head.last.bias.add_(1)
    assert before == network_digest(classifier, SQUARE)
    with torch.no_grad():
        next(classifier.features.parameters()).add_(1e-3)
    assert before != network_digest(classifier, SQUARE)


def test_a_changed_film_is_computed_again(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    one = films.subset([0])
    before = pooled_features(classifier, one, SQUARE, tmp_path).vectors
    other = replace(one, samples=(replace(one.samples[0], load=films.samples[1].load),))
    after = pooled_features(classifier, other, SQUARE, tmp_path).vectors
    assert not np.array_equal(before, after)


def test_an_unreadable_film_is_skipped_and_reported(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    bad = Sample("bad.png", 0, broken)
    found = pooled_features(classifier, replace(films, samples=(bad, *films.samples[:3])), SQUARE, tmp_path)
    assert [record.name for record in found.films.samples] == [record.name for record in films.samples[:3]]
    assert len(found.vectors) == 3
    assert "bad.png" in str(found.unreadable[0])


def test_no_readable_film_raises(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none of 1 could be read; the first: bad\.png"):
        pooled_features(classifier, replace(films, samples=(Sample("bad.png", 0, broken),)), SQUARE, tmp_path)


def test_the_network_is_unchanged(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    classifier.train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    pooled_features(classifier, films.subset([0, 1]), SQUARE, tmp_path)
    assert classifier.training
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_an_unwritable_cache_raises(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another with --cache"):
        pooled_features(classifier, films.subset([0]), SQUARE, tmp_path / "file")


def test_a_flipped_byte_of_a_vector_is_computed_again(classifier: Classifier, films: Dataset, tmp_path: Path) -> None:
    whole = pooled_features(classifier, films, SQUARE, tmp_path).vectors
    with closing(sqlite3.connect(tmp_path / "features.sqlite")) as base, base:
        key, vector = base.execute("SELECT key, vector FROM vectors LIMIT 1").fetchone()
        base.execute("UPDATE vectors SET vector = ? WHERE key = ?", (bytes([vector[0] ^ 64]) + vector[1:], key))
    again = pooled_features(classifier, films, SQUARE, tmp_path).vectors
    np.testing.assert_allclose(again, whole, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("damage", ["garbage", "hole", "empty"])
def test_a_damaged_cache_is_rebuilt(
    classifier: Classifier, films: Dataset, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pooled_features(classifier, films, SQUARE, tmp_path).vectors
    file = tmp_path / "features.sqlite"
    content = file.read_bytes()
    half = len(content) // 2
    hole = content[: half // 2] + bytes(half) + content[half + half // 2 :]
    file.write_bytes({"garbage": b"no database" * 500, "hole": hole, "empty": b""}[damage])
    again = pooled_features(classifier, films, SQUARE, tmp_path).vectors
    np.testing.assert_allclose(again, whole, atol=1e-5)
    assert damage == "empty" or "damaged; removed" in capsys.readouterr().err
