from __future__ import annotations

from pathlib import Path

import pytest

from lucency.data import folder, read_dataset
from lucency.errors import SourceError
from sample_sources import jpeg, put, write_folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("bacteria", "normal"), ("normal", "bacteria")),
        (("Atelectasis", "No_Finding"), ("No_Finding", "Atelectasis")),
        (("1", "0"), ("0", "1")),
        (("b", "a"), ("a", "b")),
        (("virus", "negative", "bacteria"), ("negative", "bacteria", "virus")),
    ],
)
def test_the_absence_of_a_finding_comes_first(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert folder.in_order(names) == expected


def test_class_folders(tmp_path: Path) -> None:
    films = read_dataset(write_folder(tmp_path))
    assert films.labels == ("healthy", "consolidation")
    assert films.class_counts() == {"healthy": 6, "consolidation": 6}
    assert films.samples[0].name == "consolidation/0.png"
    assert films.samples[0].label == 1


def test_three_classes_below_splits(tmp_path: Path) -> None:
    for split in ("train", "Validation", "test"):
        for name in ("normal", "virus", "bacteria"):
            put(tmp_path / split / name / "1.png", jpeg())
    films = read_dataset(tmp_path)
    assert films.task == "multiclass"
    assert films.labels == ("normal", "bacteria", "virus")
    assert {record.split for record in films.samples} == {"train", "val", "test"}


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "normal" / "1.png", jpeg())
    with pytest.raises(SourceError, match="at least two classes, found one only: 1 of 'normal' films"):
        read_dataset(tmp_path)
    alone = read_dataset(tmp_path, classes=1)  # enough to judge by
    assert (alone.labels, alone.task, len(alone)) == (("normal",), "binary", 1)
