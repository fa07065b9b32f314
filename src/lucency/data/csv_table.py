"""A table of films: one line a film, in a .csv or .tsv file.

    path,label,patient,split,age
    films/a.png,normal,p1,train,34
    films/b.png,pneumonia,p2,test,51

`path` (relative to the table) and `label` are needed. `patient`, `split` (train, val, test), `mask` (path of an
image that is not black where the lesion is) and `x,y,width,height` (a box around the lesion, in pixels) are
understood; every other column is kept for subgroups. `label` may hold several findings as in NIH ChestX-ray14, `a|b`.
A film with several boxes takes several lines.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample
from lucency.data.folder import NEGATIVES, SPLITS, in_order, inventory, require_folder, task_of
from lucency.errors import SourceError
from lucency.film import open_film

Row = dict[str, str]
Box = tuple[float, float, float, float]

NEEDED = ("path", "label")
BOX = ("x", "y", "width", "height")
KNOWN = frozenset({*NEEDED, "patient", "split", "mask", *BOX})
DELIMITERS = (",", ";", "\t")
SUFFIXES = frozenset({".csv", ".tsv"})


def read(root: Path) -> Dataset:
    """Read the table `root`, or the only table in the folder `root`.

    Raises:
        SourceError: no table or several, not UTF-8, `path` or `label` missing, a value that makes no sense,
            one film on two lines that disagree, or none of the films is there.
    """
    table = find(root)
    lines = [line for line in rows(table) if any(line.values())]
    labelled = [line for line in lines if line["label"]]
    present = [line for line in labelled if (table.parent / line["path"]).is_file()]
    if not present:
        missing = f"; the first, {labelled[0]['path']}, is not there" if labelled else ""
        raise SourceError(
            f"{table}: expected lines with a label and a path from the table's folder, found none{missing}"
        )
    records, labels, many = _records(table, present)
    task = "multilabel" if many else task_of(labels)
    return Dataset(labels, records, task, "csv", _warnings(lines, labelled, present, records))


def recognises(root: Path) -> bool:
    """Whether `root` is a table, or a folder with exactly one that has the columns path and label."""
    if root.is_file():
        return root.suffix.lower() in SUFFIXES
    tables = _tables(root)
    return len(tables) == 1 and set(NEEDED) <= set(_header(tables[0])[0])


def find(root: Path) -> Path:
    """The table meant by `root`.

    Raises:
        SourceError: nothing there, or not exactly one table in the folder.
    """
    if root.is_file():
        return root
    require_folder(root)
    tables = _tables(root)
    if len(tables) != 1:
        found = f"found {', '.join(table.name for table in tables)}" if tables else inventory(root)
        raise SourceError(f"{root}: expected one table (.csv or .tsv); {found}; name the table itself")
    return tables[0]


def rows(table: Path) -> Iterator[Row]:
    """The lines of a table, each a dict by column; understood columns in small letters, cells without outer blanks.

    Raises:
        SourceError: not UTF-8 text, or a needed column is missing.
    """
    header, delimiter = _header(table)
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise SourceError(f"{table}: expected the columns path and label, found {', '.join(header) or 'an empty file'}")
    with table.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        next(reader)
        try:
            for cells in reader:
                yield dict(zip(header, map(str.strip, cells + [""] * (len(header) - len(cells))), strict=False))
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{table}: expected UTF-8 text near line {reader.line_num}, found {error}") from error


def _header(table: Path) -> tuple[list[str], str]:
    """Column names and the delimiter that splits them best; no names where it is not text."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline(65536)
    except (OSError, UnicodeDecodeError):
        return [], ","
    delimiter = max(DELIMITERS, key=line.count)
    cells = next(csv.reader([line], delimiter=delimiter), [])
    names = [cell.strip() for cell in cells]
    return [name.lower() if name.lower() in KNOWN else name for name in names], delimiter


def _tables(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def _records(table: Path, lines: list[Row]) -> tuple[tuple[Sample, ...], tuple[str, ...], bool]:
    """Records in the order of their paths, label names, and whether a film may have several findings."""
    films = _by_film(table, lines)
    many = any("|" in line["label"] for line in lines)
    findings = {finding for line in lines for finding in _findings(line["label"])}
    names = {name for name in findings if name.lower() not in NEGATIVES} if many else findings
    labels = in_order(tuple(names))
    if len(labels) < (1 if many else 2):
        found = ", ".join(sorted(findings))
        raise SourceError(f"{table}: expected labels of at least two classes, found '{found}' only")
    return tuple(_record(table, films[path], labels, many) for path in sorted(films)), labels, many


def _record(table: Path, lines: list[Row], labels: tuple[str, ...], many: bool) -> Sample:
    line = lines[0]
    path = table.parent / line["path"]
    found = _findings(line["label"])
    return Sample(
        name=line["path"],
        label=tuple(int(label in found) for label in labels) if many else labels.index(found[0]),
        load=partial(open_film, path),
        patient=line.get("patient") or None,
        split=_split(table, line),
        columns={name: cell for name, cell in line.items() if name not in KNOWN},
        path=path,
        mask=_mask(table, lines),
    )


def _findings(cell: str) -> list[str]:
    return [finding.strip() for finding in cell.split("|") if finding.strip()]


def _by_film(table: Path, lines: Iterable[Row]) -> dict[str, list[Row]]:
    """Lines of each film, which may differ in their box only."""
    films: dict[str, list[Row]] = {}
    for line in lines:
        first = films.setdefault(line["path"], [line])[0]
        if first is line:
            continue
        if not line.get("x") or any(first[name] != line[name] for name in first if name not in BOX):
            raise SourceError(f"{table}: expected one line a film (or one a box), found {line['path']} on several")
        films[line["path"]].append(line)
    return films


def _split(table: Path, line: Row) -> str | None:
    cell = line.get("split", "")
    if cell and cell.lower() not in SPLITS:
        raise SourceError(f"{table}: expected the split train, val or test, found '{cell}' for {line['path']}")
    return SPLITS[cell.lower()] if cell else None


def _mask(table: Path, lines: list[Row]) -> partial[NDArray[np.bool_]] | None:
    if lines[0].get("mask"):
        return partial(_mask_from_image, table.parent / lines[0]["mask"])
    boxes = tuple(_box(table, line) for line in lines if line.get("x"))
    return partial(mask_from_boxes, table.parent / lines[0]["path"], boxes) if boxes else None


def _box(table: Path, line: Row) -> Box:
    try:
        x, y, width, height = (float(line.get(name, "")) for name in BOX)
    except ValueError:
        x = y = width = height = math.nan
    if not (x >= 0 and y >= 0 and 0 < width < math.inf and 0 < height < math.inf):
        found = ", ".join(f"{name} '{line.get(name, '')}'" for name in BOX)
        raise SourceError(f"{table}: expected a box as x, y, width, height in pixels, found {found} for {line['path']}")
    return x, y, width, height


def _mask_from_image(path: Path) -> NDArray[np.bool_]:
    """Where the image at `path` is not black: bool (h, w)."""
    return np.asarray(open_film(path).pixels > 0, dtype=np.bool_)


def mask_from_boxes(path: Path, boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
    """Whether a pixel of the film at `path` has its centre in a box: bool (h, w)."""
    height, width = open_film(path).pixels.shape
    row, column = np.ogrid[0.5:height, 0.5:width]
    inside = [(column >= x) & (column < x + w) & (row >= y) & (row < y + h) for x, y, w, h in boxes]
    return np.asarray(np.any(inside, axis=0), dtype=np.bool_)


def _warnings(
    lines: list[Row], labelled: list[Row], present: list[Row], records: tuple[Sample, ...]
) -> tuple[str, ...]:
    nobody = sum(record.patient is None for record in records)
    said = (
        (len(lines) - len(labelled), "lines without a label were left out"),
        (len(labelled) - len(present), "films of the table are not there and were left out"),
        (nobody, "films do not name their patient; each counts as a patient of its own"),
    )
    return tuple(f"{count} {what}" for count, what in said if count)
