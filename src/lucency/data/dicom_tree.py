"""A tree of DICOM files, sorted by class (class/…/file, below train/ and test/ or not) or listed in labels.csv.

labels.csv lies in the root and has the column label beside one of KEYS. Patients come from PatientID, which is whatever
the archive that exported the films made of it; slices and films that name none belong together by study or series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lucency.data.dataset import Dataset, Sample, describe_left_out
from lucency.data.folder import (
    class_folders,
    find_base,
    inventory,
    is_regular,
    merged_warnings,
    require_folder,
    task_of,
    walk,
)
from lucency.data.labels import in_order, merge_spellings, tally
from lucency.errors import SourceError
from lucency.film import open_film
from lucency.progress import track
from lucency.tables import parse_table, value_of

TABLE = "labels.csv"
KEYS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID")
"""What a row of the table may name: the first that it has, and of a film the first that is listed, counts."""
WHOSE = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
"""Which films belong together: the first that is stated."""
COLUMNS = {"sex": "PatientSex", "age": "PatientAge", "view": "ViewPosition", "manufacturer": "Manufacturer"}
"""Our column to the attribute it is taken from."""
LOOKED_AT, OPENED = 400, 40
"""Files that are listed, and opened, to recognise a tree of DICOM files."""
WANTED = (*KEYS, "Rows", "Columns", "ImageType", *COLUMNS.values())


def read(root: Path) -> Dataset:
    """Read the DICOM films below `root`.

    Raises:
        SourceError: no folder, no DICOM film in it that has a label, or one class only.
    """
    require_folder(root)
    table = _table(root / TABLE) if is_regular(root / TABLE) else None
    left_out: Counter[str] = Counter()
    folders = class_folders(find_base(root)) if table is None else [(None, root)]
    placed = [(split, folder.name, path) for split, folder in folders for path in _files(folder, left_out)]
    films = [
        (place, head) for place in track(placed, "reading DICOM headers", len(placed)) if (head := header(place[2]))
    ]
    found = len(films)
    films = [(place, head) for place, head in films if "LOCALIZER" not in (head.get("ImageType") or ())]
    labels = [_label(place, head, table) for place, head in films]
    class_of = merge_spellings(tally(labels), str(root))
    kept = [(place, head, class_of[label]) for (place, head), label in zip(films, labels, strict=True) if label]
    names = in_order(class_of.values())
    if not names:
        raise SourceError(
            f"{root}: expected DICOM films of two classes, in class folders or listed in {TABLE}; "
            f"found {len(films)} DICOM films; {inventory(root)}"
        )
    samples = sorted((_sample(root, place, head, names.index(label)) for place, head, label in kept), key=_name)
    left_out += Counter(not_dicom=len(placed) - found, localizer=found - len(films), no_label=len(films) - len(kept))
    warnings = (*describe_left_out(left_out), *merged_warnings(class_of), *_unnamed(samples, kept))
    return Dataset(names, tuple(samples), task_of(names), "dicom", warnings, left_out)


def _unnamed(samples: list[Sample], kept: list[tuple[Any, Any, str]]) -> list[str]:
    """What is said of films that do not name their patient."""
    alone = sum(sample.patient is None for sample in samples)
    grouped = sum(not _stated(head, "PatientID") for _, head, _ in kept) - alone
    words = ((grouped, "the films of a study count as one patient"), (alone, "each counts as a patient of its own"))
    return [f"{count} films do not name their patient; {what}" for count, what in words if count]


def recognises(root: Path) -> bool:
    """Whether most of some files below `root`, spread over the first ones, are DICOM."""
    if not root.is_dir():
        return False
    first = list(islice(_files(root, Counter()), LOOKED_AT))
    some = [is_dicom(path) for path in first[:: max(1, len(first) // OPENED)]]
    return sum(some) > len(some) / 2


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


def _files(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Files at any depth, in order, found as they are asked for: a tree may be large."""
    return (path for path in walk(folder, left_out) if path.name not in (TABLE, "DICOMDIR"))


def _table(path: Path) -> dict[str, str]:
    """Label by SOPInstanceUID or PatientID."""

    def check(columns: tuple[str, ...]) -> None:
        if "label" not in columns or not set(KEYS) & set(columns):
            found, others = ", ".join(columns) or "an empty table", ", ".join(KEYS[1:])
            raise SourceError(f"{path}: expected the columns SOPInstanceUID (or {others}) and label, found {found}")

    labels: dict[str, str] = {}
    for row in parse_table(lambda: path.open("rb"), str(path), (*KEYS, "label"), check=check):
        name = next(name for name in KEYS if name in row)
        key, label = row[name].strip(), value_of(row["label"])
        if key and labels.setdefault(key, label) != label:
            raise SourceError(f"{path}: expected one label for {name} {key}, found several")
    return labels


def _label(place: tuple[str | None, str, Path], head: Any, labels: dict[str, str] | None) -> str:
    if labels is None:
        return value_of(place[1])
    return next((labels[str(head.get(key))] for key in KEYS if str(head.get(key)) in labels), "")


def _stated(head: Any, keyword: str) -> str:
    return value_of(str(head.get(keyword) or ""))


def _sample(root: Path, place: tuple[str | None, str, Path], head: Any, label: int) -> Sample:
    split, _, path = place
    return Sample(
        name=path.relative_to(root).as_posix(),
        label=label,
        load=partial(open_film, path),
        patient=next((text for keyword in WHOSE if (text := _stated(head, keyword))), None),
        split=split,
        columns={ours: text for ours, theirs in COLUMNS.items() if (text := _stated(head, theirs))},
        path=path,
    )


def _name(sample: Sample) -> str:
    return sample.name
