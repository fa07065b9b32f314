"""Published tables that name images without their folder or suffix: HAM10000 and APTOS 2019.

    lesion_id,image_id,dx,dx_type,age,sex,localization          HAM10000_metadata.csv
    id_code,diagnosis                                           train.csv of APTOS 2019

The images lie anywhere below the table's folder. Every other column is kept for subgroups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lucency.data.dataset import Dataset, Sample, describe_left_out
from lucency.data.folder import PATIENTS_UNKNOWN, is_film, is_regular, require_folder, scan, task_of, walk
from lucency.data.labels import in_order
from lucency.errors import SourceError
from lucency.film import open_film
from lucency.tables import Row, read_header, read_table, value_of


@dataclass(frozen=True)
class Layout:
    """The columns of one published table."""

    image: str
    """Name of the image file, without its suffix."""
    label: str
    patient: str | None
    """Images with the same value belong together: in HAM10000 those of one lesion, whose patient is unknown."""


LAYOUTS = {
    "ham10000": Layout("image_id", "dx", "lesion_id"),
    "aptos": Layout("id_code", "diagnosis", None),
}


def read(name: str, root: Path) -> Dataset:
    """Read the table of LAYOUTS[name] at `root`, or in that folder.

    Raises:
        SourceError: no such table or several, or none of its images is there.
    """
    layout = LAYOUTS[name]
    table = _find(layout, root)
    rows = [{key: value_of(cell) for key, cell in row.items()} for row in read_table(table, (), _needed(layout))]
    images = {path.stem: path for path in walk(table.parent, Counter()) if is_film(path)}
    labelled = [row for row in rows if row[layout.label]]
    present = [row for row in labelled if row[layout.image] in images]
    if not present:
        raise SourceError(f"{table}: expected its images below {table.parent}, found none of {len(labelled)}")
    labels = in_order(row[layout.label] for row in present)
    samples = [_sample(layout, table.parent, images[row[layout.image]], row, labels) for row in present]
    left_out = Counter(no_label=len(rows) - len(labelled), missing_file=len(labelled) - len(present))
    warnings = describe_left_out(left_out) + (() if layout.patient else (PATIENTS_UNKNOWN,))
    ordered = tuple(sorted(samples, key=lambda sample: sample.name))
    return Dataset(labels, ordered, task_of(labels), name, warnings, +left_out)


def recognises(name: str, root: Path) -> bool:
    """Whether `root` is such a table, or a folder with one."""
    return len(_tables(LAYOUTS[name], root)) == 1


def _find(layout: Layout, root: Path) -> Path:
    if not is_regular(root):
        require_folder(root)
    tables = _tables(layout, root)
    if len(tables) != 1:
        found = ", ".join(table.name for table in tables) or "none"
        raise SourceError(f"{root}: expected one table with the columns {', '.join(_needed(layout))}; found {found}")
    return tables[0]


def _tables(layout: Layout, root: Path) -> list[Path]:
    """Tables with the columns of a layout; Kaggle's sample of a submission, which labels nothing, is none."""
    here = [root] if is_regular(root) else scan(root) if root.is_dir() else []
    tables = [path for path in here if path.suffix.lower() == ".csv" and is_regular(path) and "sample" not in path.name]
    return [path for path in tables if set(_needed(layout)) <= set(read_header(path))]


def _needed(layout: Layout) -> tuple[str, ...]:
    return tuple(filter(None, (layout.image, layout.label, layout.patient)))


def _sample(layout: Layout, base: Path, path: Path, row: Row, labels: tuple[str, ...]) -> Sample:
    return Sample(
        name=path.relative_to(base).as_posix(),
        label=labels.index(row[layout.label]),
        load=partial(open_film, path),
        patient=(row[layout.patient] or None) if layout.patient else None,
        columns={key: cell for key, cell in row.items() if key not in _needed(layout)},
        path=path,
    )
