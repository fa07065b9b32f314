"""A film from a path or from a store, or why there is none: a kind to count, and a line to read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lucency.errors import FilmError
from lucency.film import Film, open_film
from lucency.film.film import READERS, kind_of
from lucency.film.limits import ACCEPTED, MAX_BYTES
from lucency.score.manifest import how_to_read, is_url

KINDS = {
    "missing": "no such file",
    "unreachable": "the file is there, but reading it was refused or the store did not answer",
    "not_a_film": "a file of another kind",
    "unreadable": "a PNG, JPEG, TIFF or DICOM file that is damaged or holds no single gray film",
    "failed": "reading it met an error that nobody foresaw",
    "crashed": "reading it ended the process that read it",
    "timed_out": "reading it took too long",
}
"""Why a film has no score."""
PASSING = frozenset(KINDS) - {"not_a_film", "unreadable"}
"""Those that may be gone another time, and so are worth another attempt; the others lie in the film's bytes."""
HEAD = 512
"""Bytes that tell what a file is."""
NO_SUCH_RANGE = "satisfiable"
"""In every store's words for HTTP's status 416: a range from the first byte on is refused of an empty object only."""


@dataclass(frozen=True)
class Failure:
    """Why a film has no score."""

    kind: str
    """One of KINDS."""
    words: str
    """One line, without the film's name."""


def fetched(place: str) -> Film | Failure:
    """The film at a path or URL; never raises for what is wrong with the film."""
    try:
        return _from_store(place) if is_url(place) else _from_disk(place)
    except Exception as error:  # a decoder's own; its message may quote the header, so only its kind is told
        return Failure("failed", f"found a film that cannot be read ({type(error).__name__})")


def _from_disk(place: str) -> Film | Failure:
    try:
        return open_film(Path(place), name="film")
    except FilmError as error:
        return Failure(_kind_on_disk(Path(place)), _words(error))


def _from_store(url: str) -> Film | Failure:
    import fsspec

    try:
        store, inside = fsspec.core.url_to_fs(url)
        data: bytes = store.cat_file(inside, start=0, end=MAX_BYTES + 1)  # by name: s3fs has them in another order
    except FileNotFoundError:
        return Failure("missing", f"found no such file; expected {ACCEPTED}; check the path")
    except ImportError as error:
        need = how_to_read(url.partition("://")[0]) or error
        return Failure("unreachable", f"the store cannot be read here ({need})")
    except Exception as error:  # each store has exceptions of its own, whose messages quote the URL
        if NO_SUCH_RANGE not in str(error):
            return Failure("unreachable", f"the store did not give it ({type(error).__name__})")
        data = b""
    if len(data) > MAX_BYTES:
        return Failure("unreadable", f"found a file of more than {MAX_BYTES // 2**20} MiB, which is not read")
    try:
        return open_film(data, name="film")
    except FilmError as error:
        return Failure(_kind_of_bytes(data), _words(error))


def _kind_on_disk(path: Path) -> str:
    """Asked only once a film could not be opened, so that films that can be cost nothing."""
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


def _words(error: FilmError) -> str:
    return str(error).removeprefix("film: ")
