"""A table of films, one row a film, in a .csv or .tsv file.

    path,label,patient,split,age
    films/a.png,normal,p1,train,34
    films/b.png,pneumonia,p2,test,51

`path` (relative to the table) and `label` are needed. `patient`, `split` (train, val, test), `mask` (path of an
image that is not black where the lesion is) and `x,y,width,height` (a box around the lesion, in pixels) are
understood; every other column is kept for subgroups. `label` may hold several findings as in NIH ChestX-ray14, `a|b`.
A film with several boxes takes several rows. A table without `label` has a column of 0 and 1 for each finding:

    path,patient,edema,mass
    films/a.png,p1,0,1
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample, describe_left_out
from lucency.data.folder import SPLITS, inventory, is_regular, merged_warnings, require_folder, scan, task_of
from lucency.data.labels import in_order, is_normal, merge_spellings, tally
from lucency.errors import SourceError
from lucency.film import open_film
from lucency.tables import Row, read_header, read_table, value_of

Box = tuple[float, float, float, float]

NEEDED = ("path", "label")
NOTHING = "no finding"
"""The label of a film whose findings are all 0."""
BOX = ("x", "y", "width", "height")
KNOWN = (*NEEDED, "patient", "split", "mask", *BOX)
SUFFIXES = frozenset({".csv", ".tsv"})


def read(root: Path) -> Dataset:
    """Read the table `root`, or the only table of films in the folder `root`.

    Raises:
        SourceError: no table or several, `path` or `label` missing, a value that makes no sense, one film on two
            rows that disagree, two indistinguishable labels, or none of the films is there.
    """
    table = find(root)
    header = read_header(table, KNOWN)
    many = "path" in header and "label" not in header
    rows = [_clean(table, row) for row in read_table(table, KNOWN, NEEDED[:1] if many else NEEDED)]
    columns = _finding_columns(table, rows) if many else []
    rows = [_labelled(row, columns) for row in rows] if columns else rows
    labelled = [row for row in rows if row["label"]]
    present = [row for row in labelled if is_regular(table.parent / row["path"])]
    left_out = Counter(no_label=len(rows) - len(labelled)) + Counter(
        map(partial(_why_absent, table), _absent(labelled, present))
    )
    if not present:
        missing = f"; the first, {labelled[0]['path']}, is not there" if labelled else ""
        raise SourceError(
            f"{table}: expected rows with a label and a path from the table's folder, found none{missing}"
        )
    class_of = merge_spellings(tally(label for row in present for label in _findings(row["label"])), str(table))
    samples, labels, many = _samples(table, present, class_of, many)
    nameless = sum(sample.patient is None for sample in samples)
    unnamed = [f"{nameless} films do not name their patient; each counts as a patient of its own"] if nameless else []
    read_as = [f"findings by columns of 0 and 1: {', '.join(columns)}"] if columns else []
    warnings = (*describe_left_out(left_out), *merged_warnings(class_of), *unnamed, *read_as)
    return Dataset(labels, samples, "multilabel" if many else task_of(labels), "csv", warnings, +left_out)


def recognises(root: Path) -> bool:
    """Whether `root` is a table, or a folder with exactly one that has the columns path and label."""
    return root.suffix.lower() in SUFFIXES if is_regular(root) else len(_tables_of_films(root)) == 1


def find(root: Path) -> Path:
    """The table meant by `root`.

    Raises:
        SourceError: nothing there, or not exactly one table of films in the folder.
    """
    if is_regular(root):
        return root
    require_folder(root)
    tables = _tables_of_films(root) or _tables(root)
    if len(tables) != 1:
        found = f"found {', '.join(table.name for table in tables)}" if tables else inventory(root)
        raise SourceError(f"{root}: expected one table (.csv or .tsv); {found}; name the table itself")
    return tables[0]


def _tables(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in scan(root) if path.suffix.lower() in SUFFIXES and path.name[0] != "." and is_regular(path)]


def _tables_of_films(root: Path) -> list[Path]:
    return [table for table in _tables(root) if set(NEEDED) <= set(read_header(table, KNOWN))]


def _clean(table: Path, row: Row) -> Row:
    """The row with "" for cells that hold no value, and a path that this system can follow."""
    path = row["path"].strip()
    if "\\" in path and not (table.parent / path).exists():
        path = path.replace("\\", "/")
    return {**{name: value_of(cell) for name, cell in row.items()}, "path": path}


def _finding_columns(table: Path, rows: list[Row]) -> list[str]:
    """The columns of a table without `label` whose cells are 0 and 1, some of them 1.

    Raises:
        SourceError: there are fewer than two.
    """
    names = [name for name in (rows[0] if rows else ()) if name not in KNOWN]
    values = {name: {row[name] for row in rows} for name in names}
    found = [name for name in names if "1" in values[name] and values[name] <= {"0", "1"}]
    if len(found) < 2:
        raise SourceError(
            f"{table}: expected the column label, or two or more columns of 0 and 1, one a finding; "
            f"found {', '.join(rows[0]) if rows else 'no row'}"
        )
    return found


def _labelled(row: Row, columns: list[str]) -> Row:
    """The row with a label made of its findings."""
    rest = {name: cell for name, cell in row.items() if name not in columns}
    return {**rest, "label": "|".join(name for name in columns if row[name] == "1") or NOTHING}


def _absent(labelled: list[Row], present: list[Row]) -> Iterable[str]:
    there = {row["path"] for row in present}
    return dict.fromkeys(row["path"] for row in labelled if row["path"] not in there)


def _why_absent(table: Path, path: str) -> str:
    place = table.parent / path
    if place.exists() and not place.is_dir():
        return "not_regular"
    return "broken_link" if place.is_symlink() else "missing_file"


def _samples(
    table: Path, rows: list[Row], class_of: dict[str, str], many: bool
) -> tuple[tuple[Sample, ...], tuple[str, ...], bool]:
    """Samples in the order of their paths, label names, and whether a film may have several findings."""
    many = many or any(len(_findings(row["label"])) > 1 for row in rows)
    labels = in_order(name for name in class_of.values() if not (many and is_normal(name)))
    films = _by_film(table, rows)
    samples = [_sample(table, films[path], labels, class_of, many) for path in sorted(films)]
    return tuple(samples), labels, many


def _sample(table: Path, rows: list[Row], labels: tuple[str, ...], class_of: dict[str, str], many: bool) -> Sample:
    row = rows[0]
    path = table.parent / row["path"]
    found = [class_of[name] for name in _findings(row["label"])]
    return Sample(
        name=row["path"],
        label=tuple(int(label in found) for label in labels) if many else labels.index(found[0]),
        load=partial(open_film, path),
        patient=row.get("patient") or None,
        split=_split(table, row),
        columns={name: cell for name, cell in row.items() if name not in KNOWN},
        path=path,
        mask=_mask(table, rows),
    )


def _findings(cell: str) -> list[str]:
    return [finding for part in cell.split("|") if (finding := value_of(part))]


def _by_film(table: Path, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of each film, which may differ in their box only."""
    films: dict[str, list[Row]] = {}
    for row in rows:
        first = films.setdefault(row["path"], [row])[0]
        if first is row:
            continue
        if not row.get("x") or any(first[name] != row[name] for name in first if name not in BOX):
            raise SourceError(f"{table}: expected one row a film (or one a box), found {row['path']} on several")
        films[row["path"]].append(row)
    return films


def _split(table: Path, row: Row) -> str | None:
    cell = row.get("split", "")
    if cell and cell.lower() not in SPLITS:
        raise SourceError(f"{table}: expected the split train, val or test, found '{cell}' for {row['path']}")
    return SPLITS[cell.lower()] if cell else None


def _mask(table: Path, rows: list[Row]) -> partial[NDArray[np.bool_]] | None:
    if rows[0].get("mask"):
        return partial(_mask_from_image, table.parent / rows[0]["mask"])
    boxes = tuple(_box(table, row) for row in rows if row.get("x"))
    return partial(mask_from_boxes, table.parent / rows[0]["path"], boxes) if boxes else None


def _box(table: Path, row: Row) -> Box:
    try:
        x, y, width, height = (float(row.get(name, "")) for name in BOX)
    except ValueError:
        x = y = width = height = math.nan
    if not (x >= 0 and y >= 0 and 0 < width < math.inf and 0 < height < math.inf):
        found = ", ".join(f"{name} '{row.get(name, '')}'" for name in BOX)
        raise SourceError(f"{table}: expected a box as x, y, width, height in pixels, found {found} for {row['path']}")
    return x, y, width, height


def _mask_from_image(path: Path) -> NDArray[np.bool_]:
    """Where the image at `path` is not black: bool (h, w)."""
    return np.asarray(open_film(path).pixels > 0, dtype=np.bool_)


def mask_from_boxes(path: Path, boxes: tuple[Box, ...]) -> NDArray[np.bool_]:
    """Whether a pixel of the film at `path` has its centre in a box: bool (h, w)."""
    height, width = open_film(path).shape
    row, column = np.ogrid[0.5:height, 0.5:width]
    inside = [(column >= x) & (column < x + w) & (row >= y) & (row < y + h) for x, y, w, h in boxes]
    return np.asarray(np.any(inside, axis=0), dtype=np.bool_)
