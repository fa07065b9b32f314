from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lucency.cli import run
from lucency.data import medmnist, read_dataset
from lucency.errors import FilmError, SourceError
from lucency.evaluate.multiclass import is_ordered
from reader.colours import write_colour_bundle
from sample_sources import medmnist as archive
from sample_sources import put


@pytest.mark.parametrize("side", [28, 64, 128, 224])
def test_sizes(tmp_path: Path, side: int) -> None:
    films = read_dataset(archive(tmp_path / f"pneumoniamnist_{side}.npz", side, count=4))
    assert films.labels == ("normal", "pneumonia")
    assert [record.split for record in films.samples] == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    film = films.samples[7].load()
    assert film.pixels.shape == (side, side)
    assert (film.pixels == 3).all()
    assert films.samples[7].label == 1
    assert not film.pixels.flags.writeable


def test_several_findings(tmp_path: Path) -> None:
    films = read_dataset(archive(tmp_path / "chestmnist.npz", findings=14))
    assert films.task == "multilabel"
    assert films.labels[6] == "pneumonia"
    assert films.samples[1].label == (1, 0) * 7


def test_several_classes(tmp_path: Path) -> None:
    films = read_dataset(archive(tmp_path / "othermnist.npz", classes=3))
    assert films.task == "multiclass"
    assert films.labels == ("class 0", "class 1", "class 2")


def test_a_folder_with_one_archive(tmp_path: Path) -> None:
    archive(tmp_path / "pneumoniamnist.npz")
    assert read_dataset(tmp_path).source == "medmnist"
    archive(tmp_path / "pneumoniamnist_64.npz")
    with pytest.raises(SourceError, match=r"found pneumoniamnist.npz, pneumoniamnist_64.npz; name the archive itself"):
        read_dataset(tmp_path, "medmnist")


def save(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    splits = ("train", "val", "test")
    np.savez(path, **{f"{s}_images": images for s in splits}, **{f"{s}_labels": labels for s in splits})
    return path


GRAY = np.zeros((4, 28, 28), dtype=np.uint8)
ROWS = np.array([[0], [1], [0], [1]])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 28, 28, 2), dtype=np.uint8), ROWS, r"expected images, .* found uint8 \(4, 28, 28, 2\)"),
        (GRAY.astype(np.float32), ROWS, "expected images, .* found float32"),
        (GRAY, ROWS[:3], "expected 4 rows of whole-numbered labels"),
        (GRAY, ROWS * 0.5, "expected 4 rows of whole-numbered labels, found float64"),
        (GRAY, ROWS - 1, "expected labels from 0 to 255, found -1 to 0"),
        (GRAY, np.array([["a"], ["b"], ["a"], ["b"]], dtype=object), "found a broken one"),
    ],
)
def test_archives_that_are_not_of_films(tmp_path: Path, images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_dataset(save(tmp_path / "x.npz", images, labels))


def test_another_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", weights=ROWS)
    with pytest.raises(SourceError, match=r"expected train_images, .*found weights"):
        read_dataset(tmp_path / "x.npz")


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found a broken one"):
        read_dataset(put(tmp_path / "x.npz", b"not a zip"))


def test_too_large_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medmnist, "MOST_BYTES", GRAY.size - 1)
    with pytest.raises(SourceError, match="expected at most"):
        read_dataset(save(tmp_path / "x.npz", GRAY, ROWS))


def test_damaged_images_are_a_film_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "pneumoniamnist.npz", 224)
    films = read_dataset(path)
    data = bytearray(path.read_bytes())
    data[200:220] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(FilmError, match=r"pneumoniamnist.npz:train/000000: expected images in a whole archive"):
        films.samples[0].load()


def test_pictures_in_colour(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 3)).astype(np.uint8)
    film = read_dataset(save(tmp_path / "othermnist.npz", images, ROWS)).samples[2].load()
    assert film.colour is not None
    assert np.array_equal(film.colour, images[2])


ARCHIVES = {
    "pathmnist": (3, 9, "multiclass"),
    "chestmnist": (1, 14, "multilabel"),
    "dermamnist": (3, 7, "multiclass"),
    "octmnist": (1, 4, "multiclass"),
    "pneumoniamnist": (1, 2, "binary"),
    "retinamnist": (3, 5, "multiclass"),
    "breastmnist": (1, 2, "binary"),
    "bloodmnist": (3, 8, "multiclass"),
    "tissuemnist": (1, 8, "multiclass"),
    "organamnist": (1, 11, "multiclass"),
    "organcmnist": (1, 11, "multiclass"),
    "organsmnist": (1, 11, "multiclass"),
}
"""Channels, labels and task of medmnist.INFO 3.0.2."""


def made(folder: Path, name: str, side: int, count: int = 22) -> Path:
    """An archive in the layout of `name`: uint8 images, labels (n, 1), or (n, 14) of chestmnist."""
    channels, labels, task = ARCHIVES[name]
    numbers = np.arange(count, dtype=np.uint8)
    shape = (count, side, side) if channels == 1 else (count, side, side, 3)
    images = np.broadcast_to((numbers * 9).reshape(-1, *[1] * (len(shape) - 1)), shape)
    rows = numbers[:, None] + np.arange(labels) if task == "multilabel" else numbers[:, None]
    stem = name if side == 28 else f"{name}_{side}"
    return save(folder / f"{stem}.npz", images, (rows % (2 if task == "multilabel" else labels)).astype(np.uint8))


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("side", [28, 224])
def test_each_of_the_twelve(tmp_path: Path, name: str, side: int) -> None:
    channels, labels, task = ARCHIVES[name]
    films = read_dataset(made(tmp_path, name, side))
    assert films.task == task
    assert len(films.labels) == labels
    assert not any(label.startswith("class ") for label in films.labels)
    assert [sum(one.split == split for one in films.samples) for split in ("train", "val", "test")] == [22] * 3
    film = films.samples[3].load()
    assert film.pixels.shape == (side, side)
    assert (film.colour is not None) == (channels == 3)
    assert is_ordered(films.labels) == (name == "retinamnist")


def test_the_finding_of_breasts_is_malignancy(tmp_path: Path) -> None:
    films = read_dataset(made(tmp_path, "breastmnist", 28))
    assert films.labels == ("normal, benign", "malignant")
    assert [sample.label for sample in films.samples[:2]] == [1, 0]  # in the archive malignant is 0


@pytest.mark.parametrize(("name", "modality"), [("retinamnist", "fundus"), ("chestmnist", "chest_xray")])
def test_evaluate_takes_the_official_test_split(tmp_path: Path, name: str, modality: str) -> None:
    archive = made(tmp_path, name, 28)
    films = read_dataset(archive)
    bundle = write_colour_bundle(tmp_path / "bundle", modality, films.labels, task=films.task)
    more = ["--resamples", "100", "--out", str(tmp_path / "out")]
    assert run(["evaluate", str(bundle), "--data", str(archive), *more]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["films"] == 22
    assert (told["task"], told["labels"]) == (films.task, list(films.labels))
    measures = {(one["name"], one["finding"]): one for one in told["metrics"]}
    kappa = measures.get(("quadratic_kappa", "all"))
    assert (kappa is not None) == (name == "retinamnist")
    if kappa is not None:
        assert kappa["low"] <= kappa["value"] <= kappa["high"]
