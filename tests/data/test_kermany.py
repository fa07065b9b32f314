from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from lucency.data import kermany, read_dataset
from lucency.errors import SourceError
from sample_sources import jpeg, put, write_kermany


@pytest.mark.parametrize(
    ("name", "patient", "cause"),
    [
        ("person12_bacteria_34.jpeg", "person12_bacteria", "bacteria"),
        ("person12_virus_34.jpeg", "person12_virus", "virus"),
        ("person447_virus_921_1.jpeg", "person447_virus", "virus"),
        ("IM-0115-0001.jpeg", "IM-0115", "normal"),
        ("IM-0523-0001-0002.jpeg", "IM-0523", "normal"),
        ("NORMAL2-IM-0383-0001.jpeg", "NORMAL2-IM-0383", "normal"),
        ("NORMAL2-IM-1103-0001-0001.jpeg", "NORMAL2-IM-1103", "normal"),
        ("NORMAL-1049278-0001.jpeg", "NORMAL-1049278", "normal"),
        ("BACTERIA-1008087-0001.jpeg", "BACTERIA-1008087", "bacteria"),
        ("VIRUS-1008087-0001.jpeg", "VIRUS-1008087", "virus"),
        ("scan.jpeg", None, None),
        ("person12.jpeg", None, None),
    ],
)
def test_names_of_both_editions(name: str, patient: str | None, cause: str | None) -> None:
    assert kermany.identify(name) == (patient, cause)


def test_persons_are_counted_apart_for_bacteria_and_virus(tmp_path: Path) -> None:
    films = read_dataset(write_kermany(tmp_path))
    assert films.class_counts() == {"normal": 6, "pneumonia": 7}
    # IM-0115, IM-0117, NORMAL2-IM-0115, NORMAL2-IM-0383, NORMAL-1049278; person12 twice, 7, 447, two of Mendeley
    assert len({record.patient for record in films.samples}) == 5 + 6
    assert Counter(record.columns["cause"] for record in films.samples) == {"normal": 6, "bacteria": 3, "virus": 4}


@pytest.mark.parametrize("above", ["", "chest_xray", "archive/chest_xray"])
def test_root_may_lie_above(tmp_path: Path, above: str) -> None:
    write_kermany(tmp_path / above)
    films = read_dataset(tmp_path)
    assert len(films) == 13
    assert {record.split for record in films.samples} == {"train"}


def test_root_may_hold_the_classes_themselves(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    films = read_dataset(tmp_path / "train")
    assert films.samples[0].name == "NORMAL/IM-0115-0001.jpeg"
    assert {record.split for record in films.samples} == {None}


def test_archive_leftovers_are_left_out_and_reported(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    shutil.copytree(tmp_path / "train", tmp_path / "chest_xray" / "train")
    put(tmp_path / "__MACOSX" / "train" / "NORMAL" / "._IM-0115-0001.jpeg", b"\0")
    put(tmp_path / "train" / "NORMAL" / "notes.txt", b"")
    films = read_dataset(tmp_path)
    assert len(films) == 13
    assert films.left_out == {"beside_splits": 13, "system_file": 2, "other_file": 1}


def test_splits_are_taken_from_the_folders(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    put(tmp_path / "test" / "NORMAL" / "IM-0001-0001.jpeg", jpeg())
    put(tmp_path / "val" / "PNEUMONIA" / "person1946_bacteria_4874.jpeg", jpeg())
    assert Counter(record.split for record in read_dataset(tmp_path).samples) == {"train": 13, "test": 1, "val": 1}


def test_strange_names_are_kept_and_reported(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    put(tmp_path / "train" / "PNEUMONIA" / "scan.jpeg", jpeg())
    put(tmp_path / "train" / "PNEUMONIA" / "IM-0119-0001.jpeg", jpeg())
    films = read_dataset(tmp_path, "kermany")
    assert films.class_counts()["pneumonia"] == 9
    assert any(warning.startswith("1 file names do not say who") for warning in films.warnings)
    assert any(warning.startswith("1 films lie in the other class's folder") for warning in films.warnings)


def test_other_class_names_are_refused_with_a_way_out(tmp_path: Path) -> None:
    put(tmp_path / "cat" / "1.png", jpeg())
    with pytest.raises(SourceError, match=r"expected folders NORMAL and PNEUMONIA, found cat; .*--source folder"):
        kermany.read(tmp_path)


def test_the_real_films(shared: Path) -> None:
    """Counts of the Kaggle training split: 1,341 and 3,875 films, 2,530 of bacteria and 1,345 of virus."""
    films = read_dataset(shared / "data" / "kermany224")
    assert films.source == "kermany"
    assert films.class_counts() == {"normal": 1341, "pneumonia": 3875}
    assert Counter(record.columns["cause"] for record in films.samples) == {
        "normal": 1341,
        "bacteria": 2530,
        "virus": 1345,
    }
    assert films.patients_known
    assert not films.warnings
    val = read_dataset(shared / "data" / "originals" / "val")
    patients = {record.patient for record in (*films.samples, *val.samples)}
    assert len(patients) == 3669  # the Mendeley training set is the Kaggle one with its val
