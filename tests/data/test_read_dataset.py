from __future__ import annotations

from pathlib import Path

import pytest

from lucency.data import read_dataset, recognise
from lucency.data.phantom import write_phantoms
from lucency.errors import SourceError, UsageError
from sample_sources import jpeg, put, write_csv, write_folder, write_kermany


def refused(root: Path, source: str = "auto") -> str:
    with pytest.raises(SourceError) as caught:
        read_dataset(root, source)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message
    return message


def test_nothing_there(tmp_path: Path) -> None:
    assert "found nothing there; check the path" in refused(tmp_path / "films")


@pytest.mark.parametrize("source", ["auto", "kermany", "folder", "csv", "tfrecord", "medmnist", "dicom"])
def test_an_empty_folder(tmp_path: Path, source: str) -> None:
    assert "found an empty folder" in refused(tmp_path, source)


@pytest.mark.parametrize("source", ["kermany", "folder", "csv", "tfrecord", "medmnist", "dicom"])
def test_nothing_there_for_each_source(tmp_path: Path, source: str) -> None:
    assert "found nothing there" in refused(tmp_path / "films", source)


def test_a_wrong_folder_is_told_what_lies_in_it(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / name / "readme.md", b"")
    put(tmp_path / "x.txt", b"")
    assert "found 3 folders: a, b, c and 1 file (.txt)" in refused(tmp_path)


def test_films_without_class_folders(tmp_path: Path) -> None:
    put(tmp_path / "1.png", jpeg())
    assert refused(tmp_path).endswith("found 1 file (.png); if these are the films of one class, give the folder above")


def test_phantoms_miscounted(tmp_path: Path) -> None:
    assert "expected phantom:N" in refused(Path("phantom:many"))
    assert "found none" in refused(Path("phantom:0"))


def test_written_phantoms_are_recognised(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 4)
    films = read_dataset(tmp_path)
    assert films.source == "phantom"
    assert films.class_counts() == read_dataset("phantom:4").class_counts()


def test_another_kind_of_file(tmp_path: Path) -> None:
    assert "found another kind of file" in refused(put(tmp_path / "x.zip", b"PK"))


@pytest.mark.parametrize("name", ["NORMAL", "normal"])
def test_one_class_only(tmp_path: Path, name: str) -> None:
    put(tmp_path / name / "IM-0001-0001.jpeg", jpeg())
    put(tmp_path / name / "IM-0002-0001.jpeg", jpeg())
    assert "at least two classes, found one only: 2 of 'normal' films" in refused(tmp_path)


def test_an_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a source among auto, .*kermany, .*received 'kermani'"):
        read_dataset(tmp_path, "kermani")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path)

    def denied(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(SourceError, match=r"cannot be read \(Permission denied\)"):
        read_dataset(tmp_path)


def test_a_table_with_paths_and_labels_is_preferred_to_the_folders_it_names(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    assert recognise(tmp_path) == "kermany"
    put(tmp_path / "notes.csv", b"name,value\n")
    assert recognise(tmp_path) == "kermany"
    (tmp_path / "notes.csv").unlink()
    write_csv(tmp_path)
    assert recognise(tmp_path) == "csv"


def test_normal_and_pneumonia_with_names_of_elsewhere_are_a_folder(tmp_path: Path) -> None:
    for name in ("NORMAL", "PNEUMONIA"):
        put(tmp_path / name / "scan.png", jpeg())
    films = read_dataset(str(tmp_path))
    assert films.source == "folder"
    assert films.labels == ("NORMAL", "PNEUMONIA")
