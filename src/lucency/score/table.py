"""The one function that every engine runs: films in, a table out, a row a film whatever it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lucency.film import Film
from lucency.prefetch import prefetch
from lucency.reader import Reader, Reading
from lucency.score.fetch import Failure, fetched

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
"""A row says what `lucency read` says of the film; where it cannot be read, `error_kind` and `error` alone are set."""

DECODERS = 2
"""Threads that fetch and decode while the network works; more help where films come from afar, and cost memory."""
AHEAD = 8
"""Films fetched ahead of the network, at most: memory stays bounded whatever their size."""


def score_batch(paths: Sequence[str], reader: Reader, seen: Callable[[], None] = lambda: None) -> pa.Table:
    """Read films, each told apart from the others: no film stops another.

    Args:
        paths: paths or URLs.
        reader: an open bundle; one thread is enough.
        seen: called after each film.

    Returns:
        a table of SCHEMA, a row a path, in order; `film` is the path.
    """
    rows = []
    for path, found in zip(paths, prefetch(fetched, paths, DECODERS, AHEAD), strict=True):
        rows.append({"film": as_text(path), **_facts(found, reader)})
        seen()
    return pa.Table.from_pylist(rows, SCHEMA)


def failed(paths: Sequence[str], failure: Failure) -> pa.Table:
    """The same table where all films fail for one reason."""
    return pa.Table.from_pylist([{"film": as_text(path), **_error(failure)} for path in paths], SCHEMA)


def as_text(name: str) -> str:
    """A name as Parquet can hold it: bytes of a file name that are no UTF-8 are escaped."""
    return name.encode(errors="backslashreplace").decode()


def _facts(found: Film | Failure, reader: Reader) -> dict[str, Any]:
    if isinstance(found, Failure):
        return _error(found)
    try:
        return _said(reader.read(found))
    except Exception as error:
        return _error(Failure("failed", f"the network did not read it ({type(error).__name__})"))


def _said(reading: Reading) -> dict[str, Any]:
    return {
        "verdict": reading.verdict,
        "called": reading.called,
        "finding": reading.finding,
        "probability": reading.probability,
        "logit": reading.logit,
        "probabilities": reading.probabilities.tolist(),
        "logits": reading.logits.tolist(),
        "warnings": list(reading.warnings),
    }


def _error(failure: Failure) -> dict[str, Any]:
    return {"error_kind": failure.kind, "error": failure.words}
