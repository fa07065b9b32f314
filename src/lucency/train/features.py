"""Pooled features of the frozen backbone, computed once for each film and cached on disk.

One SQLite file holds one table, keyed by what a vector depends on: the network's weights, the preprocessing, and the
film's content. SQLite commits a whole batch or nothing, so a crash costs the current batch.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample, decode_each, require_readable
from lucency.errors import FilmError, OutputError
from lucency.models import Classifier
from lucency.models.classifier import fuse_batchnorm
from lucency.preprocess import Preprocess, as_input
from lucency.progress import track
from lucency.train.distributed import local_device

Vectors = NDArray[np.float32]
Item = TypeVar("Item")

BATCH = 32
"""Films per forward pass; more gains nothing on two cores."""
FILE = "features.sqlite"
TABLE = "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
PUT = "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)"
GET = "SELECT vector, checksum FROM vectors WHERE key = ?"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class Features:
    """Pooled features of the readable films."""

    films: Dataset
    """The readable films, in order."""
    vectors: Vectors
    """float32 (readable, k)."""
    unreadable: tuple[FilmError, ...]
    """One error per skipped film."""


def pooled_features(classifier: Classifier, films: Dataset, preprocess: Preprocess, cache: Path) -> Features:
    """The pooled features of every readable film, from the cache or computed and added to it.

    Args:
        classifier: its backbone runs in evaluation mode and is left unchanged.
        films: n films.
        preprocess: of the network.
        cache: folder of the cache; made if absent.

    Raises:
        OutputError: the cache cannot be written.
        SourceError: no film can be read.
    """
    network = network_digest(classifier, preprocess)
    keys = [f"{network}:{content_hash(sample)}" for sample in track(films.samples, "hashing films")]
    with _database(cache) as database:
        found = [_stored(database, key) for key in keys]
        missing = [index for index, vector in enumerate(found) if vector is None]
        todo = films.subset(missing), [keys[index] for index in missing]
        unreadable = _compute(database, classifier, *todo, preprocess)
        for index in missing:
            found[index] = _stored(database, keys[index])
    good = [index for index, vector in enumerate(found) if vector is not None]
    require_readable(films, len(good), unreadable)
    vectors = np.stack([vector for vector in found if vector is not None]).astype(np.float32)
    return Features(films.subset(good), vectors, tuple(unreadable))


def _stored(database: sqlite3.Connection, key: str) -> Vectors | None:
    """The vector of a key; None if it is missing or its checksum differs."""
    row = database.execute(GET, (key,)).fetchone()
    if row is None or _checksum(key, row[0]) != row[1]:
        return None
    return np.frombuffer(row[0], dtype="<f4")


def _checksum(key: str, vector: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + vector, digest_size=16).digest()


def network_digest(classifier: Classifier, preprocess: Preprocess) -> str:
    """SHA-256 over the backbone's weights and the preprocessing: equal digests give equal features."""
    digest = hashlib.sha256(json.dumps(preprocess.to_json(), sort_keys=True).encode())
    for name, tensor in classifier.state_dict().items():
        if not name.startswith("head.") and not name.endswith("num_batches_tracked"):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _database(cache: Path) -> Iterator[sqlite3.Connection]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _discard_damaged(cache / FILE)
        with closing(sqlite3.connect(cache / FILE, timeout=60)) as database:
            database.execute(TABLE)
            yield database
    except (sqlite3.OperationalError, OSError) as error:
        raise OutputError(
            f"{cache}: the feature cache cannot be written ({error}); choose another with --cache"
        ) from error


def _discard_damaged(file: Path) -> None:
    """Remove a cache that SQLite finds damaged; the features are computed again."""
    try:
        with closing(sqlite3.connect(file, timeout=60)) as database:
            intact = database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in DAMAGED:  # busy, or not writable
            raise
        intact = False
    if not intact:
        print(f"{file}: damaged; removed, the features are computed again", file=sys.stderr)
        file.unlink(missing_ok=True)


def content_hash(sample: Sample) -> str:
    """Of a film that cannot be opened, a key that no film has; it fails when decoded."""
    try:
        return sample.content_hash
    except (OSError, FilmError):
        return "unreadable"


def _compute(
    database: sqlite3.Connection, classifier: Classifier, films: Dataset, keys: list[str], preprocess: Preprocess
) -> list[FilmError]:
    """Compute the missing vectors, one commit per batch."""
    unreadable: list[FilmError] = []
    network = fuse_batchnorm(classifier).to(local_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    outcomes = zip(keys, decode_each(films, preprocess), strict=True)
    for batch in _batches(track(outcomes, "computing features, once", total=len(keys)), BATCH):
        good = [(key, square) for key, square in batch if not isinstance(square, FilmError)]
        unreadable.extend(square for _, square in batch if isinstance(square, FilmError))
        if good:
            vectors = pooled(network, np.stack([square for _, square in good])).astype("<f4")
            rows = [(key, vector.tobytes()) for (key, _), vector in zip(good, vectors, strict=True)]
            with database:
                database.executemany(PUT, [(*row, _checksum(*row)) for row in rows])
    return unreadable


def pooled(network: Classifier, squares: NDArray[np.uint8]) -> Vectors:
    """uint8 (n, s, s), in colour (n, s, s, 3) -> float32 (n, k): activations averaged over the film.

    The network is in evaluation mode.
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        films = torch.from_numpy(as_input(squares)).permute(0, 3, 1, 2).to(device)
        return np.asarray(network.pooled(films).cpu().numpy(), dtype=np.float32)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
