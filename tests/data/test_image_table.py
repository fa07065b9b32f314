"""HAM10000, APTOS 2019, and retinas named by eye."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucency.data import read_dataset
from lucency.data.splits import stratified_group_kfold
from lucency.errors import SourceError
from sample_sources import jpeg, put, write_aptos, write_eyes, write_ham10000


def test_images_of_a_lesion_belong_together(tmp_path: Path) -> None:
    films = read_dataset(write_ham10000(tmp_path))
    assert films.source == "ham10000"
    assert [sample.patient for sample in films.samples] == [f"HAM_{index // 2}" for index in range(8)]
    assert films.samples[0].columns["dx_type"] == "histo"
    assert films.samples[5].name == "part_2/ISIC_5.jpg"


def test_grades_are_classes_in_order_and_missing_images_are_counted(tmp_path: Path) -> None:
    write_aptos(tmp_path)
    rows = [f"{index:03x},{4 - index % 5}" for index in range(8)]
    put(tmp_path / "train.csv", "\n".join(["id_code,diagnosis", *rows, "fff,2", "000f,"]).encode())
    films = read_dataset(tmp_path)
    assert (films.source, films.task, films.labels) == ("aptos", "multiclass", ("0", "1", "2", "3", "4"))
    assert dict(films.left_out) == {"missing_file": 1, "no_label": 1}


def test_a_table_without_its_images_says_so(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", b"id_code,diagnosis\nabc,1\n")
    with pytest.raises(SourceError, match="found none of 1"):
        read_dataset(tmp_path, "aptos")
    put(tmp_path / "train2.csv", b"id_code,diagnosis\nabc,1\n")
    with pytest.raises(SourceError, match=r"train.csv, train2.csv"):
        read_dataset(tmp_path, "aptos")


def test_both_eyes_and_all_copies_of_a_picture_stay_together(tmp_path: Path) -> None:
    films = read_dataset(write_eyes(tmp_path))
    assert films.source == "eyes"
    assert any("4 films are changed copies" in warning for warning in films.warnings)
    patients = {sample.name: sample.patient for sample in films.samples}
    assert patients["normal/2_left.jpg"] == patients["normal/2_right.jpg"] == "2"
    assert patients["glaucoma/_1_7002.jpg"] == patients["glaucoma/_1_7003.jpg"] == "glaucoma/1"
    groups = films.groups()
    for rest, held in stratified_group_kfold(films, 3):
        assert not set(groups[rest]) & set(groups[held])


def test_other_folders_are_not_taken_for_eyes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name / "1_left.jpg", jpeg())
        for index in range(3):
            put(tmp_path / name / f"film {index}.jpg", jpeg())
    assert read_dataset(tmp_path).source == "folder"
