"""Data sets: where films with labels come from, and how they are split.

A source is one file with a `read(root) -> Films`, one row in SOURCES, and one in RECOGNISED_BY where a folder can
show by itself that it is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lucency.data import csv_table, dicom_tree, folder, kermany, medmnist, phantom, tfrecord
from lucency.data.record import Films, Record, Task
from lucency.data.tree import inventory, is_film
from lucency.errors import SourceError, UsageError

__all__ = ["RECOGNISED_BY", "SOURCES", "Films", "Record", "Task", "read_films", "recognise"]

SOURCES: dict[str, Callable[[Path], Films]] = {
    "kermany": kermany.read,
    "folder": folder.read,
    "csv": csv_table.read,
    "tfrecord": tfrecord.read,
    "medmnist": medmnist.read,
    "dicom": dicom_tree.read,
    "phantom": phantom.read,
}
"""Name to reader."""

RECOGNISED_BY: dict[str, Callable[[Path], bool]] = {
    "phantom": phantom.recognises,
    "tfrecord": tfrecord.recognises,
    "medmnist": medmnist.recognises,
    "csv": csv_table.recognises,
    "kermany": kermany.recognises,
    "dicom": dicom_tree.recognises,
    "folder": folder.recognises,
}
"""Name to whether a root looks like one of these; the first that says yes reads it."""


def read_films(root: Path | str, source: str = "auto", classes: int = 2) -> Films:
    """Read a data set. No film is decoded.

    Args:
        root: a folder, a table, an archive, or `phantom:N` for N drawn films.
        source: a row of SOURCES, or "auto" to recognise which.
        classes: how many classes must have a film; one is enough to judge by, none is learned from less than two.

    Returns:
        Records in the order of their names.

    Raises:
        SourceError: nothing is there, no source recognises it, or it holds fewer classes.
        UsageError: no such source.
    """
    root = Path(root)
    if source != "auto" and source not in SOURCES:
        raise UsageError(f"expected a source among auto, {', '.join(SOURCES)}; received '{source}'")
    try:
        films = SOURCES[recognise(root) if source == "auto" else source](root)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"{error.filename or root}: cannot be read ({reason}); check the permissions") from error
    _require_classes(films, root, classes)
    return films


def recognise(root: Path) -> str:
    """Name the source that `root` looks like.

    Raises:
        SourceError: none.
    """
    if str(root).startswith("phantom:"):
        return "phantom"
    for name, recognises in RECOGNISED_BY.items():
        if recognises(root):
            return name
    if not root.exists():
        raise SourceError(f"{root}: expected a folder of films, found nothing there; check the path")
    if not root.is_dir():
        raise SourceError(f"{root}: expected a folder, a table (.csv) or an archive (.npz), found another kind of file")
    films = any(map(is_film, root.iterdir()))
    raise SourceError(
        f"{root}: expected class folders with films, such as NORMAL/ and PNEUMONIA/, below train/ and test/ or not, "
        f"a table with the columns path and label, or an archive; {inventory(root)}"
        + ("; if these are the films of one class, give the folder above" if films else "")
    )


def _require_classes(films: Films, root: Path, classes: int) -> None:
    present = [f"{count} of '{name}'" for name, count in films.counts().items() if count]
    if not films.records:
        raise SourceError(f"{root}: expected films with labels, found none")
    if films.task != "multilabel" and len(present) < classes:
        raise SourceError(f"{root}: expected films of at least two classes, found one only: {present[0]} films")
