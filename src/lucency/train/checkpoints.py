"""Checkpoints, written atomically, with a checksum inside; if the last is damaged, the previous one is used.

A checkpoint is the zip archive of torch.save with the SHA-256 of its bytes as the archive's comment, so torch.load
opens it as well.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lucency.errors import OutputError, TrainingError
from lucency.files import beside, remedy, sha256_bytes, unwritable
from lucency.train.distributed import is_main_process

BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
"""Of a phase: the epoch with the best metric, the last complete epoch, and the one before."""
DIGEST_BYTES = 64
"""Of a SHA-256, hexadecimal."""
END_RECORD = b"PK\x05\x06"
"""The last 22 bytes of a zip archive without a comment begin with it."""


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning reads and writes checkpoints."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the state, whole or not at all; the last checkpoint becomes the previous one.

        Raises:
            OutputError: as `write_checkpoint`; or the run was moved away: a new folder would stand in its place.
        """
        if not Path(path).parent.is_dir():
            missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            raise unwritable(Path(path), missing) from missing
        write_checkpoint(Path(path), checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read the state, without pickled objects. Raises TrainingError where it is damaged."""
        return placed(read_checkpoint(Path(path)), Path(path).parent.resolve())


def placed(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The state with the paths of `folder`: of a run that was moved Lightning would forget which epoch was best."""
    for facts in state["callbacks"].values():
        if old := facts.get("dirpath"):
            facts["best_k_models"] = {
                key.replace(old, str(folder), 1): score for key, score in facts["best_k_models"].items()
            }
            for name in ("best_model_path", "kth_best_model_path", "last_model_path", "dirpath"):
                facts[name] = facts[name].replace(old, str(folder), 1)
    return state


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: the disk is full, or the folder cannot be written. An existing file is kept.
    """
    stream = io.BytesIO()
    torch.save(state, stream)
    content = stream.getvalue()
    digest = sha256_bytes(content).encode()
    with beside(path) as draft:
        draft.write_bytes(content[:-2] + len(digest).to_bytes(2, "little") + digest)
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU.

    Raises:
        TrainingError: the file is missing, empty, cut or altered.
    """
    try:
        content = verified(path.read_bytes())
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: the checkpoint is missing") from error
    except Exception as error:  # torch raises many kinds for a damaged file
        raise TrainingError(f"{path}: the checkpoint is damaged") from error
    return state


def verified(content: bytes) -> bytes:
    """The bytes that torch.save wrote. Raises ValueError if the checksum differs."""
    length, digest = content[-DIGEST_BYTES - 2 : -DIGEST_BYTES], content[-DIGEST_BYTES:]
    plain = content[: -DIGEST_BYTES - 2] + b"\0\0"
    if length == DIGEST_BYTES.to_bytes(2, "little") and sha256_bytes(plain).encode() == digest:
        return plain
    if content[-22:-18] == END_RECORD and content[-2:] == b"\0\0":  # of an earlier version: CRC-32 of its members
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.testzip() is None:
                return content
    raise ValueError("the checksum differs")


def find_last(folder: Path) -> Path | None:
    """The newest whole checkpoint of a phase; None where it starts from the beginning. Damage is reported on stderr."""
    damaged: list[Path] = []
    found = None
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            if path.exists():
                read_checkpoint(path)
                found = path
                break
        except TrainingError:
            damaged.append(path)
    if damaged and is_main_process():
        names = " and ".join(path.name for path in damaged)
        then = f"continuing from {found.name}, the epoch before" if found else "this phase starts again"
        print(f"{folder}: {names} damaged; {then}", file=sys.stderr)
    return found


def read_best(folder: Path, metric: str) -> dict[str, Any]:
    """The state of the best epoch: `best.ckpt`, or another checkpoint of the same epoch where that is damaged.

    Raises:
        TrainingError: no whole checkpoint holds that epoch.
    """
    try:
        return read_checkpoint(folder / BEST)
    except TrainingError as error:
        last = find_last(folder)
        history = read_checkpoint(last)["history"] if last else []
        scores = [row[metric] for row in history]
        if last is None or not scores or scores.index(max(scores)) != len(scores) - 1:
            raise TrainingError(
                f"{error}; remove {folder} and continue with --resume, which repeats this phase"
            ) from error
        if is_main_process():
            print(f"{error}; {last.name} holds the same epoch and is used", file=sys.stderr)
        return read_checkpoint(last)


def unwritable_run(folder: Path, error: OSError | OutputError) -> OutputError:
    """The error for a phase whose checkpoints or log cannot be written."""
    cause = error.__cause__ if isinstance(error, OutputError) else error
    if not isinstance(cause, OSError):
        return OutputError(str(error))
    reason = f"training cannot write there ({cause.strerror or cause})"
    return OutputError(f"{folder}: {reason}; {remedy(cause)}, then continue with --resume")
