"""A tree of DICOM files, sorted by class (class/…/file, below train/ and test/ or not) or listed in labels.csv.

labels.csv lies in the root and has the column label beside SOPInstanceUID or PatientID. Patients come from PatientID,
which is whatever the archive that exported the films made of it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lucency.data.dataset import Dataset, Sample
from lucency.data.folder import class_folders, find_base, in_order, inventory, is_leftover, require_folder, task_of
from lucency.errors import SourceError
from lucency.film import open_film
from lucency.progress import track

TABLE = "labels.csv"
KEYS = ("SOPInstanceUID", "PatientID")
COLUMNS = {"sex": "PatientSex", "age": "PatientAge", "view": "ViewPosition", "manufacturer": "Manufacturer"}
"""Our column to the attribute it is taken from."""
WANTED = ("PatientID", "SOPInstanceUID", "Rows", "Columns", *COLUMNS.values())


def read(root: Path) -> Dataset:
    """Read the DICOM films below `root`.

    Raises:
        SourceError: no folder, no DICOM film in it that has a label, or one class only.
    """
    require_folder(root)
    labels = _table(root / TABLE) if (root / TABLE).is_file() else None
    placed = [(split, folder.name, path) for split, folder in _class_folders(root, labels) for path in _files(folder)]
    headers = [(place, header(place[2])) for place in track(placed, "reading DICOM headers", len(placed))]
    films = [(place, head) for place, head in headers if head is not None]
    named = [(place, head, _label(place, head, labels)) for place, head in films]
    kept = [(place, head, label) for place, head, label in named if label]
    names = in_order(tuple(label for *_, label in kept))
    if len(names) < 2:
        what = f"found '{names[0]}' only" if names else f"found {len(films)} DICOM films; {inventory(root)}"
        raise SourceError(f"{root}: expected DICOM films of two classes, in class folders or listed in {TABLE}; {what}")
    records = [_record(root, place, head, names.index(label)) for place, head, label in kept]
    warnings = _warnings(len(headers) - len(films), len(films) - len(kept), records)
    return Dataset(names, tuple(sorted(records, key=lambda record: record.name)), task_of(names), "dicom", warnings)


def recognises(root: Path) -> bool:
    """Whether most of the first files below `root` are DICOM."""
    if not root.is_dir():
        return False
    first = [is_dicom(path) for path in islice(_files(root), 20)]
    return sum(first) > len(first) / 2


def is_dicom(path: Path) -> bool:
    """Whether `path` says DICM after its preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def header(path: Path) -> Any | None:
    """What a DICOM film states of itself, without its pixels; None where it is no DICOM or holds no image."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        found = dcmread(path, stop_before_pixels=True, specific_tags=list(WANTED))
    except (InvalidDicomError, OSError, ValueError, EOFError):
        return None
    return found if found.get("Rows") and found.get("Columns") else None


def _files(folder: Path) -> Iterator[Path]:
    """Files at any depth, in order, found as they are asked for: a tree may be large."""
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_leftover(Path(name)))
        below = (Path(base, name) for name in sorted(names) if name not in (TABLE, "DICOMDIR"))
        yield from (path for path in below if not is_leftover(path))


def _class_folders(root: Path, labels: dict[str, str] | None) -> list[tuple[str | None, Path]]:
    return class_folders(find_base(root)[0]) if labels is None else [(None, root)]


def _table(path: Path) -> dict[str, str]:
    """Label by SOPInstanceUID or PatientID."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: expected a table in UTF-8, found {error}") from error
    columns = list(lines[0]) if lines else []
    key = next((name for name in KEYS if name in columns), None)
    if key is None or "label" not in columns:
        found = ", ".join(columns) or "an empty table"
        raise SourceError(f"{path}: expected the columns SOPInstanceUID (or PatientID) and label, found {found}")
    return {line[key].strip(): (line["label"] or "").strip() for line in lines if line[key]}


def _label(place: tuple[str | None, str, Path], head: Any, labels: dict[str, str] | None) -> str:
    if labels is None:
        return place[1]
    return next((labels[str(head.get(key))] for key in KEYS if str(head.get(key)) in labels), "")


def _record(root: Path, place: tuple[str | None, str, Path], head: Any, label: int) -> Sample:
    split, _, path = place
    return Sample(
        name=path.relative_to(root).as_posix(),
        label=label,
        load=partial(open_film, path),
        patient=str(head.get("PatientID") or "").strip() or None,
        split=split,
        columns={ours: text for ours, theirs in COLUMNS.items() if (text := str(head.get(theirs) or "").strip())},
        path=path,
    )


def _warnings(no_film: int, no_label: int, records: list[Sample]) -> tuple[str, ...]:
    nobody = sum(record.patient is None for record in records)
    said = (
        (no_film, "files that are no DICOM film were left out"),
        (no_label, "DICOM films without a label were left out"),
        (nobody, "films do not name their patient; each counts as a patient of its own"),
    )
    return tuple(f"{count} {what}" for count, what in said if count)
