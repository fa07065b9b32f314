"""Small generated films, and manifests of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from PIL import Image

BAD = {3: b"no film at all", 7: b"\x89PNG\r\n\x1a\ncut", 11: None}
"""Rows that hold a text file, a damaged PNG, and nothing."""


def write_films(folder: Path, count: int, bad: dict[int, bytes | None] = BAD) -> Path:
    """Films of many grays, some bad, and a list of their paths; the list's path."""
    folder.mkdir(parents=True)
    for number in range(count):
        write_film(folder / f"{number:05}.png", number, bad.get(number, b""))
    (folder / "list.txt").write_text("".join(f"{number:05}.png\n" for number in range(count)))
    return folder / "list.txt"


def write_film(path: Path, number: int, content: bytes | None) -> None:
    if content:
        path.write_bytes(content)
    elif content is not None:
        gray = np.random.default_rng(number).integers(60, 190, 2)
        Image.fromarray(np.linspace(*gray, 32 * 40).reshape(32, 40).astype(np.uint8)).save(path)


def everything(out: Path | str) -> pa.Table:
    """All rows of the shards, sorted by row number."""
    return ds.dataset(str(out), format="parquet").to_table().sort_by("row")
