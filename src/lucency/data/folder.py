"""Any folder of films sorted by class: class/file, or split/class/file.

Who is on a film is unknown here, so films of one patient may fall on both sides of a split: name the patients in a
table (source csv) where they are known.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lucency.data.record import Films, Record, Task
from lucency.data.tree import first_films, read_tree
from lucency.film import open_film

NEGATIVES = frozenset(
    {"normal", "negative", "healthy", "no_finding", "no finding", "nofinding", "none", "clear", "0", "no"}
)
"""Class names, in small letters, that mean the absence of a finding: they come first."""


def read(root: Path) -> Films:
    """Read the films in the class folders below `root`.

    Raises:
        SourceError: no class folders with films.
    """
    tree = read_tree(root)
    labels = in_order(tree.classes)
    records = tuple(
        Record(
            found.name,
            labels.index(found.folder),
            partial(open_film, found.path),
            split=found.split,
            path=found.path,
        )
        for found in tree.files
    )
    nobody = "patients are unknown here: films of one patient may fall on both sides of a split"
    return Films(labels, records, task_of(labels), source="folder", warnings=(*tree.warnings, nobody))


def recognises(root: Path) -> bool:
    """Whether `root` holds class folders with films."""
    return bool(first_films(root))


def task_of(labels: tuple[str, ...]) -> Task:
    """Binary for two classes (or one of them), multiclass for more."""
    return "binary" if len(labels) <= 2 else "multiclass"


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Class names sorted, those that mean no finding first.

    >>> in_order(("bacteria", "Normal"))
    ('Normal', 'bacteria')
    """
    return tuple(sorted(set(names), key=lambda name: (name.lower() not in NEGATIVES, name)))
