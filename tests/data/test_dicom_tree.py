from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from lucency.data import read_dataset
from lucency.data.splits import group_holdout
from lucency.errors import SourceError
from sample_sources import dicom, jpeg, put, write_dicom


def test_patients_and_facts_come_from_the_headers(tmp_path: Path) -> None:
    films = read_dataset(write_dicom(tmp_path))
    assert films.labels == ("normal", "pneumonia")
    first = films.samples[0]
    assert first.name == "normal/study0/0.dcm"
    assert first.patient == "p0-normal"
    assert first.columns == {"sex": "F", "age": "034Y", "view": "PA"}


def test_splits_above_the_classes(tmp_path: Path) -> None:
    write_dicom(tmp_path / "train")
    write_dicom(tmp_path / "test")
    films = read_dataset(tmp_path)
    assert [record.split for record in films.samples] == ["test"] * 8 + ["train"] * 8


@pytest.mark.parametrize(("key", "left_out"), [("SOPInstanceUID", 1), ("PatientID", 2)])
def test_labels_from_a_table(tmp_path: Path, key: str, left_out: int) -> None:
    for index in range(6):
        dicom(tmp_path / f"study{index}" / "film", f"p{index // 2}", f"1.2.{index}")
    values = [f"1.2.{index}" for index in range(5)] if key == "SOPInstanceUID" else ["p0", "p1"]
    lines = [f"{value},{'ill' if index % 2 else 'normal'}" for index, value in enumerate(values)]
    put(tmp_path / "labels.csv", "\n".join([f"{key},label", *lines]).encode())
    films = read_dataset(tmp_path)
    assert films.source == "dicom"
    assert films.class_counts() == ({"normal": 3, "ill": 2} if key == "SOPInstanceUID" else {"normal": 2, "ill": 2})
    assert films.left_out == {"no_label": left_out}


def test_a_table_without_labels(tmp_path: Path) -> None:
    write_dicom(tmp_path)
    put(tmp_path / "labels.csv", b"study,finding\n1,2\n")
    with pytest.raises(SourceError, match=r"expected the columns SOPInstanceUID .*found study, finding"):
        read_dataset(tmp_path, "dicom")


def test_what_is_no_film_is_reported(tmp_path: Path) -> None:
    write_dicom(tmp_path)
    dicom(tmp_path / "normal" / "report.dcm", "p9", "1.2.9", rows=0)
    dicom(tmp_path / "normal" / "nobody.dcm", "", "1.2.10")
    put(tmp_path / "normal" / "notes.txt", b"none")
    films = read_dataset(tmp_path)
    assert len(films) == 9
    assert films.warnings == (
        "left out 2 films without a DICOM image",
        "1 films do not name their patient; each counts as a patient of its own",
    )


def test_a_folder_of_other_films(tmp_path: Path) -> None:
    put(tmp_path / "normal" / "1.png", jpeg())
    with pytest.raises(SourceError, match=r"expected DICOM films of two classes.*found 0 DICOM films; found 1 folder"):
        read_dataset(tmp_path, "dicom")


def write_scans(root: Path, patient: str = "") -> Path:
    """Two studies of each class, of two series with three slices each, and a localizer in each study."""
    for study in range(4):
        label = "covid" if study % 2 else "other"
        for number in range(7):
            path = root / label / f"{study}-{number}.dcm"
            slice_ = dcmread(dicom(path, patient and f"{patient}{study // 2}", f"1.9.{study}.{number}"))
            slice_.StudyInstanceUID, slice_.SeriesInstanceUID = f"1.7.{study}", f"1.8.{study}.{number // 3}"
            slice_.Modality = "CT"
            slice_.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if number == 6 else "AXIAL"]
            slice_.save_as(path)
    return root


def test_slices_stay_together_by_patient(tmp_path: Path) -> None:
    scans = read_dataset(write_scans(tmp_path, "p"))
    assert {one.patient for one in scans.samples} == {"p0", "p1"}
    assert len(scans) == 24
    assert scans.warnings == ("left out 4 files that show where slices lie (localizers)",)


def test_slices_without_a_patient_stay_together_by_study(tmp_path: Path) -> None:
    scans = read_dataset(write_scans(tmp_path))
    assert {one.patient for one in scans.samples} == {f"1.7.{study}" for study in range(4)}
    assert scans.warnings[1:] == ("24 films do not name their patient; the films of a study count as one patient",)
    train, val = group_holdout(scans, 0.5)
    assert not {scans.samples[i].patient for i in train} & {scans.samples[i].patient for i in val}


def test_a_table_may_name_series(tmp_path: Path) -> None:
    write_scans(tmp_path / "all" / "scans")
    put(tmp_path / "labels.csv", b"SeriesInstanceUID,label\n1.8.0.0,other\n1.8.1.0,covid\n1.8.3.1,covid\n")
    scans = read_dataset(tmp_path)
    assert scans.class_counts() == {"other": 3, "covid": 6}
    assert scans.left_out["no_label"] == 15
