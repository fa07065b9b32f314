"""One clean set and one with every fault, each audited once."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from lucency.audit import Audit, audit
from lucency.data import read_dataset
from lucency.data.phantom import draw

from .films import SIDE, name, pixels_of, write, write_clean


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clean(tmp_path_factory.mktemp("clean") / "chest_xray")


@pytest.fixture(scope="session")
def faulty(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean set with one fault of each kind, planted where tests/audit/test_report.py expects it."""
    root = tmp_path_factory.mktemp("faulty") / "chest_xray"
    shutil.copytree(clean, root)
    _plant_copies(root)
    _plant_turned(root)
    _plant_strangers(root)
    _plant_files(root)
    write(root / "test/PNEUMONIA/person1_virus_910.jpeg", draw((7, 1), True, SIDE, take=1).film)  # 1 is in train
    return root


def _plant_copies(root: Path) -> None:
    shutil.copy(root / name(8, True), root / "train/PNEUMONIA/person901_virus_901.jpeg")
    write(root / "test/NORMAL/IM-0902-0001.jpeg", pixels_of(root / name(5, False)), quality=95)
    write(root / "train/NORMAL/IM-0903-0001.jpeg", pixels_of(root / name(11, True)))
    write(root / "train/PNEUMONIA/person904_virus_904.jpeg", pixels_of(root / name(13, True))[:, ::-1])


def _plant_turned(root: Path) -> None:
    for number, turn in ((33, np.fliplr), (38, lambda film: 255 - film), (39, lambda film: film[::-1, ::-1])):
        write(root / name(number, True), turn(pixels_of(root / name(number, True))))


def _plant_strangers(root: Path) -> None:
    photograph, other = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
    write(root / "train/NORMAL/IM-0905-0001.jpeg", photograph)
    write(root / "train/NORMAL/IM-0906-0001.jpeg", other.mean(axis=2).astype(np.uint8))
    write(root / "train/NORMAL/IM-0908-0001.jpeg", np.full((SIDE, SIDE), 90, dtype=np.uint8))
    write(root / "train/PNEUMONIA/person909_virus_909.jpeg", draw((7, 909), True, 40).film)


def _plant_files(root: Path) -> None:
    content = io.BytesIO()
    Image.fromarray(draw((7, 907), False, SIDE).film).save(content, "PNG")
    (root / "train/NORMAL/IM-0907-0001.jpeg").write_bytes(content.getvalue())
    whole = (root / name(43, True)).read_bytes()
    (root / name(43, True)).write_bytes(whole[: len(whole) // 2])


@pytest.fixture(scope="session")
def clean_audit(clean: Path) -> Audit:
    return audit(read_dataset(clean))


@pytest.fixture(scope="session")
def faulty_audit(faulty: Path) -> Audit:
    return audit(read_dataset(faulty))
