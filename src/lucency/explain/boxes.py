"""Annotations of disease or lungs: boxes in a table, masks in a folder."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lucency.data.csv_table import mask_from_boxes
from lucency.data.dataset import Dataset, Sample
from lucency.errors import FilmError, SourceError
from lucency.explain.faithfulness import Case, Cases, square_mask
from lucency.film import open_film
from lucency.preprocess import Preprocess

Box = tuple[float, float, float, float]
"""x, y, width, height in the film's pixels."""
BOX = ("x", "y", "width", "height")


def read_boxes(table: Path) -> dict[Path, list[Box]]:
    """Film → its boxes, from a table with the columns path, x, y, width and height; paths are relative to the table.

    Raises:
        SourceError: the table cannot be read, a column is missing, or a number is invalid.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{table}: cannot be read as a table of boxes: {error}") from None
    found: dict[Path, list[Box]] = {}
    for number, line in enumerate(lines, 2):
        try:
            x, y, width, height = (float(line[name]) for name in BOX)
            path = (table.parent / line["path"]).resolve()
        except (KeyError, TypeError, ValueError):
            raise SourceError(f"{table}, line {number}: expected path, x, y, width and height in pixels") from None
        found.setdefault(path, []).append((x, y, width, height))
    if not found:
        raise SourceError(f"{table}: expected boxes, found none")
    return found


def with_boxes(films: Dataset, table: Path) -> Dataset:
    """The films of a data set that have boxes, labelled positive, with the boxes as the lesion.

    Raises:
        SourceError: the table is wrong, or no film has a box.
    """
    boxes = read_boxes(table)
    positive = tuple([1] * len(films.labels)) if films.task == "multilabel" else 1
    samples = tuple(
        replace(sample, label=positive, mask=partial(mask_from_boxes, sample.path, tuple(boxes[sample.path.resolve()])))
        for sample in films.samples
        if sample.path is not None and sample.path.resolve() in boxes
    )
    if not samples:
        raise SourceError(f"{table}: none of its {len(boxes)} films is among the {len(films)} films of the data")
    return replace(films, samples=samples)


def boxed_films(table: Path, films: Path, labels: tuple[str, ...] = ("normal", "pneumonia")) -> Dataset:
    """Only the films with boxes, for data without labels; patients from the columns path and patient of `films`.

    Raises:
        SourceError: a table is wrong, or no film has a box.
    """
    try:
        with films.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in csv.DictReader(stream) if line.get("path")]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{films}: cannot be read as a table of films: {error}") from None
    samples = tuple(
        Sample(line["path"], 1, partial(open_film, path), line.get("patient") or None, path=path)
        for line in lines
        if (path := films.parent / line["path"]).is_file()
    )
    return with_boxes(Dataset(labels, samples, source="boxes"), table)


def outlined_lungs(folder: Path, preprocess: Preprocess) -> Cases:
    """Films whose lungs a person outlined, as a network sees them: `films/` and `masks/` with the same names.

    Raises:
        SourceError: no film has a mask, or a mask has another size than its film.
    """
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*"))}
    cases: list[Case] = []
    unreadable: list[FilmError] = []
    for path in sorted((folder / "films").glob("*")):
        if path.stem not in masks:
            continue
        try:
            film = open_film(path)
        except FilmError as error:
            unreadable.append(error)
            continue
        with Image.open(masks[path.stem]) as image:
            mask = np.asarray(image.convert("L")) > 0
        if mask.shape != (film.height, film.width):
            raise SourceError(f"{masks[path.stem]}: expected the size of its film, {film.width} × {film.height}")
        cases.append(Case(path.name, preprocess(film), len(cases), None, square_mask(mask, preprocess)))
    if not cases:
        raise SourceError(f"{folder}: expected films/ and masks/ with the same names, found no pair")
    return Cases(tuple(cases), tuple(unreadable))
