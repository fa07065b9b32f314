"""A damaged checkpoint is detected and the previous one used; a full disk loses only the current epoch."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from lucency.errors import OutputError, TrainingError
from lucency.train import checkpoints
from lucency.train.checkpoints import BEST, LAST, PREVIOUS, find_last, read_best, read_checkpoint, write_checkpoint

METRIC = "val_auroc"


def state(epochs: int, scores: tuple[float, ...] = (0.6, 0.7, 0.8)) -> dict[str, Any]:
    weights = torch.arange(500, dtype=torch.float32) + epochs
    return {"state_dict": {"w": weights}, "history": [{METRIC: score} for score in scores[:epochs]], "epoch": epochs}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three epochs, each better than the one before."""
    for epochs in (1, 2, 3):
        write_checkpoint(tmp_path / BEST, state(epochs))
        write_checkpoint(tmp_path / LAST, state(epochs))
    return tmp_path


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_checkpoints_round_trip_and_open_in_torch(folder: Path) -> None:
    for found in (read_checkpoint(folder / LAST), torch.load(folder / LAST, weights_only=True)):
        assert torch.equal(found["state_dict"]["w"], state(3)["state_dict"]["w"])
    assert read_checkpoint(folder / PREVIOUS)["epoch"] == 2
    assert {path.name for path in folder.iterdir()} == {BEST, LAST, PREVIOUS}


def test_a_flipped_bit_raises(folder: Path) -> None:
    content = (folder / LAST).read_bytes()
    assert checkpoints.verified(content)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match="checksum"):
            checkpoints.verified(bytes(flipped))
    flip(folder / LAST, len(content) // 2)
    with pytest.raises(TrainingError, match=r"last\.ckpt: the checkpoint is damaged"):
        read_checkpoint(folder / LAST)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\0" * 5000])
def test_an_empty_or_truncated_file_raises(folder: Path, content: bytes) -> None:
    (folder / LAST).write_bytes(content)
    with pytest.raises(TrainingError, match="damaged"):
        read_checkpoint(folder / LAST)


def test_a_checkpoint_of_an_earlier_version_is_read_and_checked(tmp_path: Path) -> None:
    torch.save(state(2), tmp_path / LAST)
    assert read_checkpoint(tmp_path / LAST)["epoch"] == 2
    place = (tmp_path / LAST).read_bytes().index(state(2)["state_dict"]["w"].numpy().tobytes())
    flip(tmp_path / LAST, place + 10)
    with pytest.raises(TrainingError, match="damaged"):
        read_checkpoint(tmp_path / LAST)


def test_find_last_falls_back_to_the_previous_epoch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_last(folder) == folder / LAST
    assert capsys.readouterr().err == ""
    (folder / LAST).write_bytes(b"")
    assert find_last(folder) == folder / PREVIOUS
    assert "last.ckpt damaged; continuing from previous.ckpt" in capsys.readouterr().err
    flip(folder / PREVIOUS, 100)
    assert find_last(folder) is None
    assert "this phase starts again" in capsys.readouterr().err


def test_an_interrupted_rename_leaves_the_previous_epoch(folder: Path) -> None:
    (folder / LAST).unlink()
    assert find_last(folder) == folder / PREVIOUS


def test_a_damaged_best_checkpoint_is_replaced_by_the_same_epoch(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(folder / BEST, 200)
    assert read_best(folder, METRIC)["epoch"] == 3
    assert "best.ckpt: the checkpoint is damaged; last.ckpt holds the same epoch" in capsys.readouterr().err


def test_a_damaged_best_checkpoint_of_another_epoch_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / BEST, state(1, (0.9, 0.7)))
    write_checkpoint(tmp_path / LAST, state(2, (0.9, 0.7)))
    (tmp_path / BEST).write_bytes(b"")
    with pytest.raises(TrainingError, match=r"damaged; remove .* and continue with --resume"):
        read_best(tmp_path, METRIC)


def test_a_full_disk_keeps_the_existing_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as stream:
            stream.write(content[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError) as caught:
        write_checkpoint(folder / LAST, state(4))
    monkeypatch.undo()
    assert "No space left on device); free some space, then continue with --resume" in str(
        checkpoints.unwritable_run(folder, caught.value)
    )
    assert read_checkpoint(folder / LAST)["epoch"] == 3
    assert {path.name for path in folder.iterdir()} == {BEST, LAST, PREVIOUS}
