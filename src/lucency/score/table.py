"""The function that every engine runs: films in, a table out, one row per film in any case."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lucency.errors import FilmError
from lucency.film import Film, open_film
from lucency.film.film import READERS, kind_of
from lucency.film.limits import ACCEPTED, MAX_BYTES
from lucency.prefetch import prefetch
from lucency.reader import Reader
from lucency.score.manifest import extra_for, is_url

SCHEMA = pa.schema(
    {
        "film": pa.string(),
        "verdict": pa.string(),
        "called": pa.string(),
        "finding": pa.string(),
        "probability": pa.float32(),
        "logit": pa.float32(),
        "probabilities": pa.list_(pa.float32()),
        "logits": pa.list_(pa.float32()),
        "warnings": pa.list_(pa.string()),
        "error_kind": pa.string(),
        "error": pa.string(),
    }
)
"""A row has what `lucency read` prints for the film; numbers are empty where it is no film of the kind learned from.
If it cannot be read, only `error_kind` and `error`."""

KINDS = {
    "missing": "no such file",
    "unreachable": "the file exists, but access was refused or the store did not answer",
    "not_a_film": "a file of another kind",
    "unreadable": "a PNG, JPEG, TIFF or DICOM file that is damaged, or of a kind that is not read",
    "failed": "an unexpected error",
    "crashed": "the worker process died on it",
    "timed_out": "it took too long",
}
"""Why a film has no score."""
NOTHING = "none"
"""What is written where a film may have several findings and none is called."""
TRANSIENT = frozenset(KINDS) - {"not_a_film", "unreadable"}
"""Kinds worth another attempt; the others are properties of the file."""
HEAD = 512
"""Bytes that are enough to recognise a format."""
RANGE_REFUSED = {errno.EINVAL, 416}
"""How stores refuse a range of bytes: s3fs by errno, aiohttp and gcsfs by HTTP status."""
DECODERS = 2
"""Threads that fetch and decode while the network runs; more only help with remote films, and cost memory."""
IN_FLIGHT = 8
"""Films fetched ahead of the network, at most: memory stays bounded whatever their size."""


@dataclass(frozen=True)
class Failure:
    """Why a film has no score."""

    kind: str
    """One of KINDS."""
    message: str
    """One line, without the film's name."""


def score_batch(paths: Sequence[str], reader: Reader, on_film: Callable[[], None] = lambda: None) -> pa.Table:
    """Read films; a film that fails affects no other.

    Args:
        paths: paths or URLs.
        reader: an open bundle; one thread is enough.
        on_film: called after each film.

    Returns:
        a table of SCHEMA, one row per path, in order; `film` is the path.
    """
    rows = []
    for path, film in zip(paths, prefetch(fetch_film, paths, DECODERS, IN_FLIGHT), strict=True):
        rows.append({"film": as_text(path), **_read(film, reader)})
        on_film()
    return pa.Table.from_pylist(rows, SCHEMA)


def failed_table(paths: Sequence[str], failure: Failure) -> pa.Table:
    """The table of `score_batch` if all films fail for one reason."""
    return pa.Table.from_pylist([{"film": as_text(path), **_error(failure)} for path in paths], SCHEMA)


def as_text(name: str) -> str:
    """A name as Parquet can hold it: bytes of a file name that are not UTF-8 are escaped."""
    return name.encode(errors="backslashreplace").decode()


def _read(film: Film | Failure, reader: Reader) -> dict[str, Any]:
    if isinstance(film, Failure):
        return _error(film)
    try:
        reading = reader.read(film)
    except Exception as error:
        return _error(Failure("failed", f"the network failed on it ({type(error).__name__})"))
    return {
        "verdict": reading.verdict or NOTHING,
        "called": None if reading.withheld else reading.called or NOTHING,
        "finding": reading.finding,
        "probability": reading.probability,
        "logit": reading.logit,
        "probabilities": None if reading.withheld else reading.probabilities.tolist(),
        "logits": None if reading.withheld else reading.logits.tolist(),
        "warnings": list(reading.warnings),
    }


def _error(failure: Failure) -> dict[str, Any]:
    return {"error_kind": failure.kind, "error": failure.message}


def fetch_film(place: str) -> Film | Failure:
    """The film at a path or URL, or why it cannot be read; never raises."""
    try:
        return _from_store(place) if is_url(place) else _from_disk(Path(place))
    except Exception as error:  # a decoder's own; its message may quote the header, so only its type is reported
        return Failure("failed", f"found a film that cannot be read ({type(error).__name__})")


def _from_disk(path: Path) -> Film | Failure:
    try:
        return open_film(path, name="film")
    except FilmError as error:
        return Failure(_kind_on_disk(path), _message(error))


def _from_store(url: str) -> Film | Failure:
    import fsspec

    try:
        store, inside = fsspec.core.url_to_fs(url)
        data = _first_bytes(store, inside)
    except FileNotFoundError:
        return Failure("missing", f"found no such file; expected {ACCEPTED}; check the path")
    except ImportError as error:
        need = extra_for(url.partition("://")[0]) or error
        return Failure("unreachable", f"the store cannot be read here ({need})")
    except Exception as error:  # each store has its own exceptions, whose messages quote the URL
        return Failure("unreachable", f"the store did not return it ({type(error).__name__})")
    if len(data) > MAX_BYTES:
        return Failure("unreadable", f"found a file of more than {MAX_BYTES // 2**20} MiB, which is not read")
    try:
        return open_film(data, name="film")
    except FilmError as error:
        return Failure(_kind_of_bytes(data), _message(error))


def _first_bytes(store: Any, inside: str) -> bytes:
    """At most MAX_BYTES + 1 bytes. Stores refuse every range of an empty object."""
    try:
        data: bytes = store.cat_file(inside, start=0, end=MAX_BYTES + 1)  # by name: s3fs has another order
    except Exception as error:
        codes = {getattr(error, name, None) for name in ("errno", "status", "code")}
        if not codes & RANGE_REFUSED or store.size(inside) != 0:
            raise
        return b""
    return data


def _kind_on_disk(path: Path) -> str:
    """Why a film cannot be opened; not called for others, since it reads the file."""
    if not path.exists():
        return "missing"
    if not path.is_file():
        return "not_a_film"
    try:
        with path.open("rb") as stream:
            return _kind_of_bytes(stream.read(HEAD))
    except OSError:
        return "unreachable"


def _kind_of_bytes(data: bytes) -> str:
    return "unreadable" if kind_of(data) in READERS else "not_a_film"


def _message(error: FilmError) -> str:
    return str(error).removeprefix("film: ")
