"""A folder of films sorted by class: class/file, split/class/file, or one folder above either."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lucency.data.dataset import Dataset, Sample, Task
from lucency.errors import SourceError
from lucency.film import open_film

NEGATIVES = frozenset(
    {"normal", "negative", "healthy", "no_finding", "no finding", "nofinding", "none", "clear", "0", "no"}
)
"""Class names, in small letters, that mean the absence of a finding: they come first."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Folder names that state a split, in small letters."""

FILM_SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".tif", ".tiff", ".dcm", ".dicom"})
"""Which files of a class folder are taken for films; what they are is decided by content when they are opened."""

LEFTOVERS = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
"""What operating systems leave in folders and archives."""


@dataclass(frozen=True)
class Found:
    """One film file in a tree."""

    path: Path
    name: str
    """The path below the root that the user gave, with forward slashes."""
    folder: str
    """Name of the class folder as written."""
    split: str | None


@dataclass(frozen=True)
class Tree:
    """The film files of a tree, in the order of their names, and what was gone past."""

    files: tuple[Found, ...]
    warnings: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class folders that hold films, sorted."""
        return tuple(sorted({found.folder for found in self.files}))


def read(root: Path) -> Dataset:
    """Read the films in the class folders below `root`.

    Raises:
        SourceError: no class folders with films.
    """
    tree = read_tree(root)
    labels = in_order(tree.classes)
    records = tuple(
        Sample(
            found.name,
            labels.index(found.folder),
            partial(open_film, found.path),
            split=found.split,
            path=found.path,
        )
        for found in tree.files
    )
    nobody = "patients are unknown here: films of one patient may fall on both sides of a split"
    return Dataset(labels, records, task_of(labels), source="folder", warnings=(*tree.warnings, nobody))


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


def read_tree(root: Path) -> Tree:
    """List the films below `root`.

    `root` may hold class folders, or split folders that hold them, or be one or two folders above that (as
    archives unpack). macOS leftovers and files that are no films are left out with a warning.

    Raises:
        SourceError: `root` is no folder, or no class folder with films lies in it.
    """
    base, warnings = find_base(root)
    files: list[Found] = []
    strays: Counter[str] = Counter()
    for split, folder in class_folders(base):
        for path in sorted(folder.iterdir()):
            if is_film(path):
                files.append(Found(path, path.relative_to(root).as_posix(), folder.name, split))
            else:
                strays[_kind(path)] += 1
    if not files:
        raise SourceError(
            f"{root}: expected class folders with films, such as NORMAL/ and PNEUMONIA/ "
            f"(or train/ and test/ that hold them); {inventory(base)}"
        )
    return Tree(tuple(sorted(files, key=lambda found: found.name)), warnings + _stray_warnings(strays))


def first_films(root: Path) -> dict[str, list[Path]]:
    """Class folder name to its first film in each split; empty where `root` holds no such tree."""
    first: dict[str, list[Path]] = {}
    for _, folder in class_folders(find_base(root)[0]) if root.is_dir() else ():
        films = sorted(filter(is_film, folder.iterdir()))[:1]
        if films:
            first.setdefault(folder.name, []).extend(films)
    return first


def class_folders(base: Path) -> list[tuple[str | None, Path]]:
    """Each class folder below `base`, with the split its parent states."""
    folders = visible_folders(base)
    splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    if not splits:
        return [(None, folder) for folder in folders]
    return [(SPLITS[split.name.lower()], folder) for split in splits for folder in visible_folders(split)]


def find_base(root: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that holds the splits or classes, with warnings: `root`, or below it while one way leads down.

    Raises:
        SourceError: `root` is no folder.
    """
    require_folder(root)
    base = root
    for _ in range(2):
        folders = visible_folders(base)
        if len(folders) != 1 or folders[0].name.lower() in SPLITS or not visible_folders(folders[0]):
            break
        base = folders[0]
    return base, _left_out(base)


def visible_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted, without hidden ones and macOS leftovers."""
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not is_leftover(path)]


def is_leftover(path: Path) -> bool:
    """Whether `path` is hidden, or an operating system left it behind: .DS_Store, ._name, __MACOSX, Thumbs.db."""
    return path.name.startswith(".") or path.name in LEFTOVERS


def is_film(path: Path) -> bool:
    """Whether `path` is a file that is named like a film."""
    return path.suffix.lower() in FILM_SUFFIXES and not is_leftover(path) and path.is_file()


def inventory(folder: Path) -> str:
    """What lies in `folder`, for an error message: `found 2 folders: a, b and 3 files (.txt)`."""
    folders = [path.name for path in visible_folders(folder)]
    kinds = Counter(path.suffix.lower() or "no suffix" for path in folder.iterdir() if path.is_file())
    parts = []
    if folders:
        shown = ", ".join(folders[:8]) + (", …" if len(folders) > 8 else "")
        parts.append(f"{len(folders)} folder{'s' * (len(folders) > 1)}: {shown}")
    if kinds:
        shown = ", ".join(sorted(kinds)[:8])
        parts.append(f"{kinds.total()} file{'s' * (kinds.total() > 1)} ({shown})")
    return "found " + " and ".join(parts) if parts else "found an empty folder"


def require_folder(root: Path) -> None:
    """Refuse a root that is not a folder.

    Raises:
        SourceError: it is missing, or a file.
    """
    if not root.exists():
        raise SourceError(f"{root}: expected a folder of films, found nothing there; check the path")
    if not root.is_dir():
        raise SourceError(f"{root}: expected a folder of films, found a file; give the folder that holds the classes")


def _left_out(base: Path) -> tuple[str, ...]:
    folders = visible_folders(base)
    spare = [folder.name for folder in folders if folder.name.lower() not in SPLITS]
    leftovers = [path.name for path in sorted(base.iterdir()) if path.name in LEFTOVERS]
    beside = f"left out {', '.join(spare)}: where there are split folders, only those are read"
    return (
        *([beside] if 0 < len(spare) < len(folders) else []),
        *(f"left out {name}: an operating system's leftover" for name in leftovers),
    )


def _kind(path: Path) -> str:
    if is_leftover(path):
        return "operating system leftover"
    return "folder" if path.is_dir() else f"{path.suffix.lower() or 'nameless'} file"


def _stray_warnings(strays: Counter[str]) -> tuple[str, ...]:
    named = (f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(strays.items()))
    return tuple(f"left out {what} in class folders" for what in named)
