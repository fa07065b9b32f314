"""Nothing is left out in silence: links, pipes, nested folders, strange names; and the published failing inputs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lucency.data import read_dataset
from lucency.data.labels import finding_is_clear
from lucency.errors import FILMS_MISSING, SourceError, UsageError
from lucency.score import open_manifest
from sample_sources import dicom, jpeg, put, write_folder, write_kermany


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Whoever opens a pipe waits for ever: the alarm makes it a failure."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("waits for a pipe"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def faults(shared: Path) -> Path:
    return shared / "data" / "faults"


def classes(root: Path, films: int = 20) -> Path:
    for name in ("normal", "ill"):
        for index in range(films):
            put(root / name / f"{index}.png", jpeg())
    return root


def test_each_reason_is_counted(tmp_path: Path) -> None:
    root = classes(tmp_path / "films")
    put(root / "ill" / "a.jfif", jpeg())
    put(root / "ill" / "IM0001", jpeg())
    put(root / "ill" / "notes.txt", b"none")
    put(root / "ill" / ".DS_Store", b"")
    put(root / "ill" / "virus" / "deeper" / "b.png", jpeg())
    put(root / "c.png", jpeg())
    (root / "ill" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(root / "ill" / "pipe.png")
    films = read_dataset(root)
    assert len(films) == 40
    assert films.left_out == {
        "beside_classes": 1,
        "system_file": 1,
        "other_suffix": 2,
        "other_file": 1,
        "in_subfolder": 1,
        "broken_link": 1,
        "not_regular": 1,
    }
    with pytest.raises(SourceError, match="6 of 46 films are left out") as caught:
        films.require_complete()
    assert caught.value.code == FILMS_MISSING


def test_a_tenth_may_be_missing(tmp_path: Path) -> None:
    root = classes(tmp_path, films=9)
    put(root / "ill" / "a.jfif", jpeg())
    put(root / "ill" / "b.jfif", jpeg())
    read_dataset(root).require_complete()
    put(root / "ill" / "c.jfif", jpeg())
    with pytest.raises(SourceError, match="3 of 21"):
        read_dataset(root).require_complete()


def test_a_film_of_a_set_is_not_a_film_less(tmp_path: Path) -> None:
    root = classes(tmp_path)
    put(root / "ill" / "a.jfif", jpeg())
    read_dataset(root).subset([0, 1]).require_complete()


def test_links_to_folders_are_entered_and_loops_end(tmp_path: Path) -> None:
    classes(tmp_path / "store", films=3)
    root = tmp_path / "films"
    root.mkdir()
    for name in ("normal", "ill"):
        (root / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "ill" / "round").symlink_to(root)
    assert len(read_dataset(root)) == 6


def test_dicom_behind_links_pipes_and_loops(tmp_path: Path) -> None:
    for name in ("normal", "ill"):
        for index in range(3):
            dicom(tmp_path / "store" / name / f"{index}.dcm", f"{name}{index}", f"1.2.{len(name)}.{index}")
        (tmp_path / "films" / name).mkdir(parents=True)
        (tmp_path / "films" / name / "study").symlink_to(tmp_path / "store" / name)
    (tmp_path / "store" / "ill" / "loop").symlink_to(tmp_path / "films" / "ill")
    (tmp_path / "films" / "ill" / "gone.dcm").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "films" / "ill" / "pipe.dcm")
    films = read_dataset(tmp_path / "films")
    assert (films.source, len(films)) == ("dicom", 6)
    assert films.left_out == {"folder_again": 1, "broken_link": 1, "not_regular": 1}


def test_dicom_patients_without_a_name_are_no_one(tmp_path: Path) -> None:
    for index, name in enumerate(("nan", "ANONYMOUS", "unknown", "p1")):
        dicom(tmp_path / ("ill" if index % 2 else "normal") / f"{index}.dcm", name, f"1.2.{index}")
    assert [sample.patient for sample in read_dataset(tmp_path).samples] == [None, "p1", None, None]


def test_tables_tell_why(tmp_path: Path) -> None:
    for index in range(4):
        put(tmp_path / f"films/{index}.png", jpeg())
    os.mkfifo(tmp_path / "films/pipe.png")
    (tmp_path / "films/gone.png").symlink_to(tmp_path / "nowhere")
    rows = ["films/0.png,normal,p1", "films\\1.png,ill,nan", "films/2.png,NaN,p2", "films/3.png,ill,NULL"]
    rows += ["films/pipe.png,ill,p3", "films/gone.png,ill,p4", "films/none.png,ill,p5"]
    put(tmp_path / "films.csv", "\n".join(["path,label,patient", *rows]).encode())
    films = read_dataset(tmp_path)
    assert films.class_counts() == {"normal": 1, "ill": 2}
    assert films.left_out == {"no_label": 1, "not_regular": 1, "broken_link": 1, "missing_file": 1}
    assert [sample.patient for sample in films.samples] == ["p1", None, None]
    assert len(set(films.groups().tolist())) == 3


def test_most_names_decide_the_source(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    for name in ("0001.jpeg", "aaa.jpeg"):
        put(tmp_path / "train" / "NORMAL" / name, jpeg())
    films = read_dataset(tmp_path)
    assert (films.source, sum(sample.patient is None for sample in films.samples)) == ("kermany", 2)
    assert read_dataset(write_folder(tmp_path / "others")).source == "folder"


def test_a_second_table_of_something_else_is_no_matter(tmp_path: Path) -> None:
    put(tmp_path / "a.png", jpeg())
    put(tmp_path / "b.png", jpeg())
    put(tmp_path / "films.csv", b"path,label\na.png,normal\nb.png,ill\n")
    put(tmp_path / "machines.csv", b"machine,room\nx,1\n")
    assert read_dataset(tmp_path).source == "csv"


def test_the_finding_can_be_named(tmp_path: Path) -> None:
    for name in ("virus", "bacteria", "normal"):
        put(tmp_path / name / "1.png", jpeg())
    films = read_dataset(tmp_path, finding="VIRUS")
    assert (films.task, films.labels, films.finding) == ("binary", ("no virus", "virus"), "virus")
    assert films.class_counts() == {"no virus": 2, "virus": 1}
    with pytest.raises(UsageError, match="--finding fungus: expected one of the labels normal, bacteria, virus"):
        read_dataset(tmp_path, finding="fungus")


def test_two_names_the_other_way_round(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name / "1.png", jpeg())
    assert not finding_is_clear(read_dataset(tmp_path).labels)
    films = read_dataset(tmp_path, finding="a")
    assert (films.labels, films.finding) == (("b", "a"), "a")
    assert [(sample.name, sample.label) for sample in films.samples] == [("a/1.png", 1), ("b/1.png", 0)]


def test_folders_to_score_behind_links(tmp_path: Path) -> None:
    classes(tmp_path / "store", films=3)
    put(tmp_path / "films" / "one.png", jpeg())
    put(tmp_path / "films" / "two.jfif", jpeg())
    (tmp_path / "films" / "more").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "loop").symlink_to(tmp_path / "films")
    os.mkfifo(tmp_path / "films" / "pipe.png")
    manifest = open_manifest(str(tmp_path / "films"))
    assert len(list(manifest.names())) == len(list(manifest.names())) == 8  # with the pipe, which gets its reason
    assert manifest.skipped == {".jfif": 1}


def test_fault_03_what_is_left_out_is_said(faults: Path) -> None:
    films = read_dataset(faults / "03-source-warnings-unheard" / "films")
    assert films.left_out == {"other_suffix": 3, "in_subfolder": 5}
    with pytest.raises(SourceError, match="8 of 24 films"):
        films.require_complete()
    half = read_dataset(faults / "03-source-warnings-unheard" / "half.csv")
    assert half.left_out == {"missing_file": 208}


@pytest.mark.parametrize(
    ("name", "labels", "counts"),
    [
        ("case.csv", ("NORMAL", "PNEUMONIA"), (20, 20)),
        ("nopn.csv", ("no_pneumonia", "Pneumonia"), (20, 20)),
        ("nan.csv", ("normal", "pneumonia"), (18, 19)),
        ("e0", ("Healthy", "COVID"), (12, 12)),
        ("e1", ("Ohne Befund", "Lungenentzündung"), (6, 6)),
    ],
)
def test_fault_05_labels_mean_what_people_mean(
    faults: Path, name: str, labels: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    films = read_dataset(faults / "05-labels-case-and-negative" / name)
    assert films.class_counts() == dict(zip(labels, counts, strict=True))
    assert films.task == "binary"
    assert finding_is_clear(films.labels)


def test_fault_07_one_stray_name_keeps_the_patients(faults: Path) -> None:
    films = read_dataset(faults / "07-kermany-falls-to-folder" / "chest")
    assert films.source == "kermany"
    assert sum(sample.patient is None for sample in films.samples) == 1


@pytest.mark.parametrize("name", ["05_case_mixed", "10_utf16", "11_latin1", "27_sep_line"])
def test_fault_21_tables_of_any_encoding(faults: Path, name: str) -> None:
    films = read_dataset(faults / "21-csv-encodings" / f"{name}.csv")
    assert films.class_counts() == {"normal": 6, "pneumonia": 6}
