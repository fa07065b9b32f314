"""Score a manifest: find the shards left, run them on an engine, write each as it completes."""

from __future__ import annotations

import hashlib
import hmac
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from lucency.bundle import Bundle
from lucency.errors import SourceError
from lucency.progress import track
from lucency.score.engines import Engine, local
from lucency.score.manifest import Manifest
from lucency.score.shards import WHOLE, Label, Shards, Summary, lock_part
from lucency.score.table import SCHEMA, as_text

CHUNK = 64
"""Films per request to a worker."""
SHARD = 10_000
"""Films in a file."""
Step = int | Label
"""Number of films that arrived, or the label of a shard written."""


@dataclass(frozen=True)
class Piece:
    """The films of one shard."""

    number: int
    names: tuple[str, ...]
    """As written to the shard."""
    places: tuple[str, ...]
    """Paths or URLs."""


def score(
    manifest: Manifest,
    bundle: Bundle,
    out: str,
    engine: Engine = local,
    workers: int = 1,
    shard: int = SHARD,
    part: tuple[int, int] = WHOLE,
    key: bytes | None = None,
    retry: bool = False,
    allow_missing: bool = False,
) -> Summary:
    """Score a manifest; the same call after an interruption continues, and does nothing once all is scored.

    Args:
        manifest: the films.
        bundle: reads them.
        out: folder or URL of the Parquet files.
        engine: a row of ENGINES.
        workers: processes, or Ray's actors.
        shard: films in a file.
        part: (k, n): only each n-th shard, from the k-th on, so that n machines can share a manifest.
        key: write names as their HMAC-SHA256 with this key.
        retry: score shards with transient failures again.
        allow_missing: go on where more than a tenth of a folder's films are not named like films.

    Raises:
        SourceError: the manifest names no film, is not a list, or lacks more than a tenth of the films.
        OutputError: `out` holds scores of another bundle or of other films, is in use, or cannot be written.
        BundleError: the bundle cannot be opened.
    """
    start = time.monotonic()
    shards, write_name = Shards(out, bundle, shard), _name_writer(key)
    with lock_part(out, part):
        done, left, films = _plan(manifest, shards, write_name, part, retry)
        _report_skipped(manifest)
        if not allow_missing:
            _require_complete(manifest)
        if left:
            shards.begin()
        pieces = _pieces(manifest, shard, write_name, set(left))
        with closing(_run(pieces, shards, engine, workers)) as steps:
            for step in track(steps, "scoring films", films, worth=lambda step: 0 if isinstance(step, Label) else step):
                if isinstance(step, Label):
                    done[step.number] = step
        summary = Summary.of(shards, done.values(), films, time.monotonic() - start, manifest.skipped)
        shards.write_note(_summary_name(part), summary.to_json())
    return summary


def _report_skipped(manifest: Manifest) -> None:
    if manifest.skipped:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in manifest.skipped.most_common())
        print(f"{manifest.source}: left out files that are not named like films: {counts}", file=sys.stderr)


def _require_complete(manifest: Manifest) -> None:
    missing, named = manifest.pictures.total(), sum(1 for _ in manifest.names()) if manifest.pictures.total() else 0
    if missing > (missing + named) / 10:
        kinds = ", ".join(sorted(+manifest.pictures))
        raise SourceError(
            f"{manifest.source}: expected films named like films, {missing} of {missing + named} pictures are not "
            f"({kinds}); rename them, list them in a text file, or go on without them with --allow-missing"
        )


def _plan(
    manifest: Manifest, shards: Shards, write_name: Callable[[str], str], part: tuple[int, int], retry: bool
) -> tuple[dict[int, Label], list[int], int]:
    """The labels of finished shards, the numbers of those left, and the films in these."""
    done, left, films, count = {}, [], 0, 0
    for piece in track(_pieces(manifest, shards.size, write_name), "checking shards"):
        count += 1
        if piece.number % part[1] != part[0] - 1:
            continue
        if shards.holds(piece.number, piece.names, retry):
            done[piece.number] = shards.written[piece.number]
        else:
            left.append(piece.number)
            films += len(piece.names)
    if not count:
        raise SourceError(f"{manifest.source}: expected films to score, it names none")
    shards.require_at_most(count)
    return done, left, films


def _pieces(
    manifest: Manifest, size: int, write_name: Callable[[str], str], only: set[int] | None = None
) -> Iterator[Piece]:
    names = iter(manifest.names())
    number = 0
    while batch := list(islice(names, size)):
        if only is None or number in only:
            yield Piece(number, tuple(map(write_name, batch)), tuple(map(manifest.place, batch)))
        number += 1


def _run(pieces: Iterator[Piece], shards: Shards, engine: Engine, workers: int) -> Generator[Step, None, None]:
    """Run the engine; write each shard as soon as its films are complete."""
    waiting: deque[Piece] = deque()

    def chunks() -> Iterator[list[str]]:
        for piece in pieces:
            waiting.append(piece)
            places = list(piece.places)
            yield from (places[start : start + CHUNK] for start in range(0, len(places), CHUNK))

    rest = SCHEMA.empty_table()
    with closing(engine(chunks(), shards.bundle, workers)) as tables:
        for table in tables:
            yield len(table)
            rest = pa.concat_tables([rest, table])
            while waiting and len(rest) >= len(waiting[0].places):
                piece = waiting.popleft()
                yield _write(shards, piece, rest.slice(0, len(piece.places)))
                rest = rest.slice(len(piece.places))
    if waiting or len(rest):
        raise RuntimeError("the engine returned too few or too many rows")


def _write(shards: Shards, piece: Piece, table: pa.Table) -> Label:
    if table["film"].to_pylist() != list(map(as_text, piece.places)):
        raise RuntimeError("the engine changed the order of the films")  # a score must never go to another film
    return shards.write(piece.number, piece.names, table.combine_chunks())


def _name_writer(key: bytes | None) -> Callable[[str], str]:
    """Names as they are, or their HMAC-SHA256, which reveals nothing without the key."""
    if key is None:
        return as_text
    return lambda name: hmac.new(key, as_text(name).encode(), hashlib.sha256).hexdigest()


def _summary_name(part: tuple[int, int]) -> str:
    return "_summary.json" if part == WHOLE else f"_summary-{part[0]}-of-{part[1]}.json"
