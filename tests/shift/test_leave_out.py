"""Leave-one-block-out validation: a setting without training films is the worst."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lucency.data.dataset import Dataset, Sample
from lucency.errors import SourceError, UsageError
from lucency.shift.leave_out import blocks_by, blocks_from, evaluate_blocks, leave_out, logistic_on, table

RARE = range(100, 150)


def films() -> Dataset:
    """200 normals of 200 patients, numbered; 200 with the finding, two each of 100 patients."""
    normals = [Sample(f"N/IM-{n:04}-0001.png", 0, lambda: pytest.fail("decoded"), f"IM-{n:04}") for n in range(200)]
    positives = [
        Sample(f"P/person{n // 2}_{n}.png", 1, lambda: pytest.fail("decoded"), f"person{n // 2}_x") for n in range(200)
    ]
    return Dataset(("normal", "pneumonia"), (*normals, *positives))


def features() -> np.ndarray:
    """A weak signal of disease, and a strong shortcut that fails on the block RARE."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], 200)
    cue = labels.copy()
    cue[list(RARE)] = 1
    return np.stack([labels + rng.normal(0, 0.6, 400), cue + rng.normal(0, 0.1, 400)], axis=1)


def test_the_block_without_similar_training_films_is_the_worst() -> None:
    data = films()
    found = leave_out(data, blocks_by(data, "id:50"), logistic_on(features(), data.label_array()))
    worst = found.blocks[0]
    assert (worst.block, worst.label, worst.films) == ("IM 100-149", "normal", 50)
    assert worst.auroc < found.blocks[1].auroc - 0.1
    assert worst.low is not None
    assert "worst: IM 100-149" in table(found)


def test_patients_of_block_and_fifth_are_not_trained_on() -> None:
    data = films()
    groups = data.groups()

    def score(train: np.ndarray, where: np.ndarray) -> np.ndarray:
        assert not set(groups[train]) & set(groups[where])
        assert {0, 1} == set(data.label_array()[where])
        return np.arange(len(where), dtype=np.float64)

    leave_out(data, blocks_by(data, "id:100"), score)


def test_evaluate_blocks_by_predictions() -> None:
    data = films()
    scores = data.label_array().astype(np.float64)
    scores[100:150] = 2
    found = evaluate_blocks(data, blocks_by(data, "id:50"), scores)
    assert (found.blocks[0].block, found.blocks[0].auroc) == ("IM 100-149", 0.0)
    assert found.blocks[-1].auroc == 1


def test_blocks_from_a_toml_file(tmp_path: Path) -> None:
    data = films()
    (tmp_path / "blocks.toml").write_text('flat = ["IM 100-149", "IM-0007"]\nall-positive = ["P/*"]\n')
    blocks = blocks_from(data, tmp_path / "blocks.toml")
    assert [index for index, block in enumerate(blocks) if block == "flat"] == [7, *RARE]
    assert blocks[200:] == ["all-positive"] * 200
    (tmp_path / "blocks.toml").write_text('none = ["Q*"]\n')
    with pytest.raises(SourceError, match="matches no film"):
        blocks_from(data, tmp_path / "blocks.toml")


def test_a_block_of_both_classes_is_split() -> None:
    samples = tuple(Sample(str(n), n % 2, lambda: pytest.fail("decoded"), columns={"ward": "A"}) for n in range(12))
    assert set(blocks_by(Dataset(("no", "yes"), samples), "column:ward")) == {"no A", "yes A"}


def test_blocks_by_date_and_invalid_blocks() -> None:
    dates = [{"date": f"2020-01-{30 - n:02}"} for n in range(20)]
    samples = tuple(Sample(str(n), n % 2, lambda: pytest.fail("decoded"), columns=dates[n]) for n in range(20))
    blocks = blocks_by(Dataset(("no", "yes"), samples), "date:5")
    assert blocks[18] == blocks[10] == "no 2020-01-12 to 2020-01-20"
    for wrong in ("id:x", "wards", "column"):
        with pytest.raises(UsageError, match="--by"):
            blocks_by(films(), wrong)
    with pytest.raises(SourceError, match="'date'"):
        blocks_by(films(), "date:5")
