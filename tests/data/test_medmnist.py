from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lucency.data import medmnist, read_dataset
from lucency.errors import FilmError, SourceError
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
