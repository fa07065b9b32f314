"""A folder of films sorted by class: class/file, split/class/file, or one or two folders above either.

Who is on a film is unknown here, so films of one patient may fall on both sides of a split: where patients are known,
name them in a table (source csv).
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lucency.data.dataset import Dataset, Sample, Task, describe_left_out
from lucency.data.labels import in_order, merge_spellings, tally
from lucency.errors import SourceError
from lucency.film import open_film
from lucency.film.film import READERS, kind_of
from lucency.tables import is_missing

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

PATIENTS_UNKNOWN = "patients are unknown here: films of one patient may fall on both sides of a split"


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
    """The film files of a tree, in the order of their names, and what was left out."""

    files: tuple[Found, ...]
    left_out: Counter[str]

    @property
    def classes(self) -> Counter[str]:
        """Films by the name of their class folder, as written."""
        return Counter(found.folder for found in self.files)


def read(root: Path) -> Dataset:
    """Read the films in the class folders below `root`.

    Raises:
        SourceError: no class folders with films, or two indistinguishable names of a class.
    """
    tree = read_tree(root)
    files = [found for found in tree.files if not is_missing(found.folder)]
    left_out = tree.left_out + Counter(no_label=len(tree.files) - len(files))
    class_of = merge_spellings(tally(found.folder for found in files), str(root))
    labels = in_order(class_of.values())
    samples = tuple(
        Sample(
            name=found.name,
            label=labels.index(class_of[found.folder]),
            load=partial(open_film, found.path),
            split=found.split,
            path=found.path,
        )
        for found in files
    )
    warnings = (*describe_left_out(left_out), *merged_warnings(class_of), PATIENTS_UNKNOWN)
    return Dataset(labels, samples, task_of(labels), "folder", warnings, left_out)


def recognises(root: Path) -> bool:
    """Whether `root` holds class folders with films."""
    return root.is_dir() and any(is_film(path) for _, folder in class_folders(find_base(root)) for path in scan(folder))


def task_of(labels: tuple[str, ...]) -> Task:
    """Binary for two classes (or one of them), multiclass for more."""
    return "binary" if len(labels) <= 2 else "multiclass"


def merged_warnings(class_of: dict[str, str]) -> tuple[str, ...]:
    """Which spellings were taken for one class."""
    merged = {name for written, name in class_of.items() if written != name}
    groups = ((name, sorted(written for written, one in class_of.items() if one == name)) for name in sorted(merged))
    return tuple(f"read {', '.join(map(repr, spellings))} as one label, '{name}'" for name, spellings in groups)


def read_tree(root: Path) -> Tree:
    """List the films in the class folders below `root`, and count what is left out there and beside them.

    Raises:
        SourceError: `root` is no folder, or no class folder with films lies in it.
    """
    base = find_base(root)
    files: list[Found] = []
    left_out = _beside(base)
    for split, folder in class_folders(base):
        for path in scan(folder):
            if is_film(path):
                files.append(Found(path, path.relative_to(root).as_posix(), folder.name, split))
            else:
                left_out += why_not(path)
    if not files:
        raise SourceError(
            f"{root}: expected class folders with films, such as NORMAL/ and PNEUMONIA/ "
            f"(or train/ and test/ that hold them); {inventory(base)}"
        )
    return Tree(tuple(sorted(files, key=lambda found: found.name)), left_out)


def class_folders(base: Path) -> list[tuple[str | None, Path]]:
    """Each class folder below `base`, with the split its parent states; a folder under two names is listed once."""
    folders = visible_folders(base)
    splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    if not splits:
        return [(None, folder) for folder in folders]
    return [(SPLITS[split.name.lower()], folder) for split in splits for folder in visible_folders(split)]


def find_base(root: Path) -> Path:
    """The folder that holds the splits or classes: `root`, or below it while one way leads down.

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
    return base


def scan(folder: Path) -> list[Path]:
    """What lies in a folder, sorted."""
    return sorted(folder.iterdir())


def visible_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted; no hidden ones, no leftovers, and each once if links lead to it too."""
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(scan(folder), key=lambda path: (path.is_symlink(), path)):
        if not is_leftover(path) and path.is_dir():
            found.setdefault(_identity(path), path)
    return sorted(found.values())


def walk(root: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Regular files below `root`, folder by folder, sorted; hidden ones and leftovers are passed over.

    Links are followed, and each folder is entered once, so that a loop ends. `left_out` counts what is no file.
    """
    entered = {_identity(root)}
    waiting = [root]
    while waiting:
        folders = []
        here = [path for path in scan(waiting.pop()) if not is_leftover(path)]
        for path in sorted(here, key=lambda path: (path.is_symlink(), path)):
            if not path.is_dir():
                continue
            if _identity(path) in entered:
                left_out["folder_again"] += 1
            else:
                entered.add(_identity(path))
                folders.append(path)
        for path in here:
            if is_regular(path):
                yield path
            elif not path.is_dir():
                left_out += why_not(path)
        waiting += reversed(folders)


def is_regular(path: Path) -> bool:
    """Whether `path` is a file that can be opened without waiting for anyone: no pipe, socket or device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def is_leftover(path: Path) -> bool:
    """Whether `path` is hidden, or an operating system left it behind: .DS_Store, ._name, __MACOSX, Thumbs.db."""
    return path.name.startswith(".") or path.name in LEFTOVERS


def is_film(path: Path) -> bool:
    """Whether `path` is a regular file that is named like a film."""
    return path.suffix.lower() in FILM_SUFFIXES and not is_leftover(path) and is_regular(path)


def why_not(path: Path) -> Counter[str]:
    """Why something in a class folder is left out, by the codes of `dataset`; of a folder, the films below it."""
    if is_leftover(path):
        return Counter(system_file=1)
    if path.is_dir():
        return Counter(in_subfolder=count_films(path))
    if is_regular(path):
        return Counter(other_suffix=1) if looks_like_a_film(path) else Counter(other_file=1)
    return Counter(not_regular=1) if path.exists() else Counter(broken_link=1)


def count_films(folder: Path) -> int:
    """Files at any depth that are films by name or content."""
    return sum(is_film(path) or looks_like_a_film(path) for path in walk(folder, Counter()))


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


def _beside(base: Path) -> Counter[str]:
    """What lies beside the class folders and the split folders."""
    folders = visible_folders(base)
    splits = [folder for folder in folders if folder.name.lower() in SPLITS]
    left_out = _loose(base)
    for split in splits:
        left_out += _loose(split)
    if splits:
        left_out += Counter(beside_splits=sum(count_films(folder) for folder in folders if folder not in splits))
    return +left_out


def _loose(folder: Path) -> Counter[str]:
    """Films that lie in no class folder, and leftovers."""
    loose: Counter[str] = Counter()
    for path in scan(folder):
        if is_leftover(path):
            loose["system_file"] += path.name in LEFTOVERS
        elif not path.is_dir():
            loose += Counter(beside_classes=1) if is_film(path) else why_not(path)
    return loose


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def looks_like_a_film(path: Path) -> bool:
    """Whether the first bytes are those of a picture, read or not."""
    with path.open("rb") as stream:
        kind = kind_of(stream.read(512))
    return kind in READERS or kind.endswith(("image", "photograph", "outside DICOM"))
