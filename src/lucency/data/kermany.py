"""Chest films of children from Guangzhou, normal or with pneumonia; what the file names of its editions say.

Stretching the films to a square hides, but does not remove, that the two classes differ in aspect.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

from lucency.data.dataset import TOLERATED, Dataset, Sample, describe_left_out
from lucency.data.folder import FILM_SUFFIXES, Found, class_folders, find_base, is_leftover, read_tree, scan
from lucency.data.labels import fold
from lucency.errors import SourceError
from lucency.film import open_film

LABELS = ("normal", "pneumonia")

NAMES = (
    # Persons are counted apart for bacteria and virus, so the cause is part of who it is: person12_bacteria_34
    re.compile(r"(?P<patient>person\d+_(?P<cause>bacteria|virus))_\d+(_\d+)*"),
    # The normals come in two series, IM-0115-0001 and NORMAL2-IM-0383-0001, each with its own count
    re.compile(r"(?P<patient>(?P<cause>NORMAL)\d+-IM-\d+)(-\d+)+"),
    re.compile(r"(?P<patient>IM-\d+)(-\d+)+"),
    # Mendeley, third version: NORMAL-1049278-0001
    re.compile(r"(?P<patient>(?P<cause>NORMAL|BACTERIA|VIRUS)-\d+)(-\d+)+"),
)
"""What the file names of both editions say of the patient."""


FLAT_BLOCKS = {
    "flat 700-749": (700, 749),
    "flat 750-799": (750, 799),
    "flat 1050-1099": (1050, 1099),
    "flat 1350-1399": (1350, 1399),
    "flat 1400-": (1400, 9999),
}
"""Normals NORMAL2-IM of these numbers were taken or processed otherwise: flat contrast, as most pneumonia films here.
Left out of training they are read worst (docs/acquisition.md). Cross-validation deals each block whole to one fold."""


def read(root: Path) -> Dataset:
    """Read the films below `root`, which holds NORMAL/ and PNEUMONIA/, or is one or two folders above them.

    Raises:
        SourceError: no such folders, or no films in them.
    """
    tree = read_tree(root)
    ours = [found for found in tree.files if label_of(found.folder) is not None]
    if not ours:
        raise SourceError(
            f"{root}: expected folders NORMAL and PNEUMONIA, found {', '.join(sorted(tree.classes))}; "
            "films with other class names are read with --source folder"
        )
    left_out = tree.left_out + Counter(other_class=len(tree.files) - len(ours))
    warnings = (*describe_left_out(left_out), *name_warnings([(f.folder, f.path.name) for f in ours]))
    return Dataset(LABELS, tuple(map(_sample, ours)), source="kermany", warnings=warnings, left_out=left_out)


def recognises(root: Path) -> bool:
    """Whether most films below `root` are named as in an edition, and nearly all lie in NORMAL and PNEUMONIA."""
    if not root.is_dir():
        return False
    placed = [
        (label_of(folder.name), path.name)
        for _, folder in class_folders(find_base(root))
        for path in scan(folder)
        if path.suffix.lower() in FILM_SUFFIXES and not is_leftover(path)
    ]
    ours = [name for label, name in placed if label is not None]
    named = sum(identify(name)[0] is not None for name in ours)
    return named > len(ours) / 2 and len(ours) >= (1 - TOLERATED) * len(placed)


def label_of(folder: str) -> int | None:
    """Index into LABELS of a class folder's name, None where it is neither."""
    return LABELS.index(fold(folder)) if fold(folder) in LABELS else None


def identify(name: str) -> tuple[str | None, str | None]:
    """Who is on the film and what caused it, from a file name of either edition; None where it does not say.

    >>> identify("person12_bacteria_34.jpeg")
    ('person12_bacteria', 'bacteria')
    >>> identify("NORMAL2-IM-0383-0001.jpeg")
    ('NORMAL2-IM-0383', 'normal')
    """
    stem = name.rsplit(".", 1)[0]
    for pattern in NAMES:
        if match := pattern.fullmatch(stem):
            return match["patient"], (match.groupdict().get("cause") or "normal").lower()
    return None, None


def cause_columns(folder: str, name: str) -> dict[str, str]:
    """The finer label as a column: cause is bacteria, virus, normal, or unknown."""
    _, cause = identify(name)
    return {"cause": cause or ("unknown" if label_of(folder) else "normal")}


def name_warnings(files: list[tuple[str, str]]) -> tuple[str, ...]:
    """What is odd about films, given as (class folder, file name)."""
    causes = [(label_of(folder), identify(name)[1]) for folder, name in files]
    nameless = sum(cause is None for _, cause in causes)
    moved = sum(cause is not None and label != (cause != "normal") for label, cause in causes)
    said = (
        (nameless, "file names do not say who the patient is; each counts as a patient of its own"),
        (moved, "films lie in the other class's folder than their name says; the folder counts"),
    )
    return tuple(f"{count} {what}" for count, what in said if count)


def setting_columns(name: str) -> dict[str, str]:
    """Which block of a rare, flat acquisition setting a normal film belongs to, as a column; empty for other films."""
    number = re.match(r"NORMAL2-IM-(\d+)", name)
    blocks = [block for block, (first, last) in FLAT_BLOCKS.items() if number and first <= int(number[1]) <= last]
    return {"setting": blocks[0]} if blocks else {}


def _sample(found: Found) -> Sample:
    label = label_of(found.folder)
    assert label is not None
    return Sample(
        name=found.name,
        label=label,
        load=partial(open_film, found.path),
        patient=identify(found.path.name)[0],
        split=found.split,
        columns=cause_columns(found.folder, found.path.name) | setting_columns(found.path.name),
        path=found.path,
    )
