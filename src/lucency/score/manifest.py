"""Manifests of films: a text file, .csv, .tsv or .parquet of paths, a folder, or a glob; here or in a store of fsspec.

Names are iterated in a stable order; a hundred million of them are never in memory at once.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from lucency.data.folder import FILM_SUFFIXES, is_regular, looks_like_a_film
from lucency.errors import SourceError, UsageError
from lucency.files import walk_files
from lucency.tables import listed, open_text, parse_table

COLUMNS = ("path", "film", "file", "filename")
"""The table's column of paths: the first of these that it has."""
READ_AT_ONCE = 10_000
"""Rows of a Parquet manifest in memory."""

STORES = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""URL scheme -> the extra that reads it."""

Names = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Manifest:
    """The films to score."""

    source: str
    """As the user gave it."""
    base: str
    """Folder or URL to which relative names refer."""
    names: Names
    """Every film's name as in the manifest, in order; can be called repeatedly."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files of a folder without the suffix of a film, by suffix; complete after an iteration of the names."""
    pictures: Counter[str] = field(default_factory=Counter)
    """Those of them that hold a picture all the same."""

    def place(self, name: str) -> str:
        """Path or URL of the film of that name."""
        if is_url(name) or not is_url(self.base):
            return name if is_url(name) else str(Path(self.base) / name)
        return f"{self.base}/{name}"


def is_url(text: str) -> bool:
    """Whether `text` is a URL: s3://bucket/film.png, gs://…, https://…"""
    return "://" in text


def require_store(url: str) -> None:
    """Raise if no installed library reads a URL's store.

    Raises:
        UsageError: fsspec does not know the store, or needs a package for it.
    """
    import fsspec

    scheme = url.partition("://")[0]
    try:
        fsspec.get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{scheme}://: cannot be read here ({extra_for(scheme) or error})") from error


def extra_for(scheme: str) -> str:
    """What to install to read a store, if one of our extras does; else ""."""
    return f"it needs pip install 'lucency[{STORES[scheme]}]'" if scheme in STORES else ""


def open_manifest(source: str, column: str | None = None) -> Manifest:
    """Open a manifest.

    Args:
        source: a path or URL of a list, a table, or a folder; or a glob such as `films/*/*.png`.
        column: the table's column of paths; by default the first of `COLUMNS` that it has.

    Raises:
        SourceError: nothing is there. Iterating the names raises it if the file is not a list.
        UsageError: a URL of a store that cannot be read here.
    """
    if is_url(source):
        require_store(source)
        return _remote(source, column)
    path = Path(source)
    if path.is_dir():
        skipped, pictures = Counter[str](), Counter[str]()
        return Manifest(source, str(path), partial(_walk, path, skipped, pictures), skipped, pictures)
    if path.is_file():
        return Manifest(source, str(path.parent), _listed(source, column))
    if glob.has_magic(source):
        return Manifest(source, "", lambda: iter(sorted(glob.glob(source, recursive=True))))  # noqa: PTH207  may be absolute
    raise SourceError(f"{source}: expected a list of films, a folder or a glob, found nothing there; check the path")


def _remote(url: str, column: str | None) -> Manifest:
    import fsspec

    try:
        store, inside = fsspec.core.url_to_fs(url)
        if not glob.has_magic(url) and store.isfile(inside):
            return Manifest(url, url.rpartition("/")[0], _listed(url, column))
        found = sorted(store.glob(inside) if glob.has_magic(url) else store.find(inside))
    except Exception as error:  # each store has its own exceptions
        raise SourceError(f"{url}: cannot be listed ({first_line(error)})") from error
    if not found:
        raise SourceError(f"{url}: expected a list of films, a folder or a glob, found nothing there; check the URL")
    films = [store.unstrip_protocol(name) for name in found if glob.has_magic(url) or _has_film_name(name)]
    return Manifest(url, "", lambda: iter(films))


def _listed(source: str, column: str | None) -> Names:
    suffix = Path(source).suffix.lower()
    if suffix == ".parquet":
        return partial(_parquet, source, column)
    return partial(_table, source, column) if suffix in (".csv", ".tsv") else partial(_lines, source)


def _walk(root: Path, skipped: Counter[str], pictures: Counter[str]) -> Iterator[str]:
    """Films below `root`, relative to it; other files are counted in `skipped`, and in `pictures` if they hold one."""
    skipped.clear()
    pictures.clear()
    try:
        for path in walk_files(root):
            if _has_film_name(path.name):
                yield str(path.relative_to(root))
            elif not path.name.startswith("."):
                kind = path.suffix.lower() or "no suffix"
                skipped[kind] += 1
                pictures[kind] += is_regular(path) and looks_like_a_film(path)
    except OSError as error:
        raise SourceError(f"{error.filename or root}: cannot be listed ({error.strerror or error})") from error


def _has_film_name(name: str) -> bool:
    return Path(name).suffix.lower() in FILM_SUFFIXES and not Path(name).name.startswith(".")


def _opened(source: str) -> BinaryIO:
    if not is_url(source):
        return Path(source).open("rb")
    import fsspec

    return cast(BinaryIO, fsspec.open(source, "rb").open())


def _lines(source: str) -> Iterator[str]:
    try:
        with _opened(source) as stream, open_text(stream) as text:
            for line in text:
                if "\0" in line:
                    raise SourceError(
                        f"{source}: expected a list of paths, found binary data; name the folder or a list"
                    )
                if line.strip():
                    yield line.rstrip("\r\n")
    except (UnicodeError, OSError) as error:
        raise _not_a_list(source, error) from error


def _table(source: str, column: str | None) -> Iterator[str]:
    known = (column,) if column else COLUMNS
    rows = parse_table(partial(_opened, source), source, known, check=lambda names: _column(source, names, column))
    try:
        for row in rows:
            place = next(name for name in known if name in row)
            if name := row[place].strip():
                yield name
    except OSError as error:
        raise _not_a_list(source, error) from error


def _parquet(source: str, column: str | None) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _opened(source) as stream:
            file = pq.ParquetFile(stream)
            chosen = _column(source, file.schema_arrow.names, column)
            for batch in file.iter_batches(READ_AT_ONCE, columns=[chosen]):
                yield from (name for name in _strings(source, batch.column(0)) if name)
    except (pa.ArrowException, OSError) as error:
        raise _not_a_list(source, error) from error


def _strings(source: str, column: Any) -> list[str | None]:
    values: list[Any] = column.to_pylist()
    if any(not isinstance(value, str | None) for value in values):
        raise SourceError(f"{source}: expected paths in its column, found {column.type}; choose another with --column")
    return values


def _column(source: str, names: Sequence[str], wanted: str | None) -> str:
    for name in (wanted,) if wanted else COLUMNS:
        if name in names:
            return name
    expected = f"the column {wanted}" if wanted else f"a column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}"
    raise SourceError(f"{source}: expected {expected}, found {listed(names) or 'none'}; name it with --column")


def _not_a_list(source: str, error: Exception) -> SourceError:
    return SourceError(f"{source}: expected a list of paths, cannot read it ({first_line(error)})")


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
