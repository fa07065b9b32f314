"""Which films a run learned from: hashes of their content, kept with the run and all that is exported from it.

Films of a public set are known by their file's name too: another edition of the set, resized, has other content.

A figure on films that a reader learned from flatters it. Who holds a film can tell by its hash whether it was learned
from; nobody can make the film from the hash (docs/bundle.md).
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lucency.bundle import Bundle
from lucency.data.dataset import Dataset, Sample
from lucency.data.splits import choose_split
from lucency.errors import BundleError, FilmError, SourceError
from lucency.files import parse_json, sha256_bytes
from lucency.progress import track

LEARNED = "films.json"
"""The file in a run or bundle."""
BYTES = 8
"""Of each film's SHA-256: among a million films two are alike by chance once in forty million runs."""
PARTS = ("train", "val")
HASH = (
    "the first 8 bytes of the SHA-256 of the film's file, or of its pixels where it has no file of its own; "
    "for a public set also of 'source/name', name without folder and suffix"
)
PUBLIC = frozenset({"kermany"})
"""Sources whose films have the same names in every edition."""


@dataclass(frozen=True)
class Learned:
    """The films behind a run, by hash."""

    train: frozenset[bytes] = frozenset()
    """Learned from."""
    val: frozenset[bytes] = frozenset()
    """They validated it."""

    def __or__(self, other: Learned) -> Learned:
        return Learned(self.train | other.train, self.val | other.val)


@dataclass(frozen=True)
class Seen:
    """Which films of a data set are behind a reader."""

    train: tuple[str, ...]
    """Names of those that it learned from."""
    val: tuple[str, ...]
    """Names of those that chose its checkpoint."""
    films: int
    """How many there are in all."""
    left_out: bool = False
    """Whether they were left out."""

    def __len__(self) -> int:
        return len(self.train) + len(self.val)

    def line(self) -> str:
        """A warning in a line; empty where no film was seen."""
        if not len(self):
            return ""
        counts = [(len(self.train), "that it learned from"), (len(self.val), "that validated it")]
        said = " and ".join(f"{count:,} {what}" for count, what in counts if count)
        first = ", ".join((self.train + self.val)[:3]) + ("…" if len(self) > 3 else "")
        if self.left_out:
            return f"left out of {self.films:,} films: {said} ({first})"
        return (
            f"among these {self.films:,} films are {said} ({first}): the figures flatter; --only-unseen leaves them out"
        )


def learned_bytes(train: Dataset, val: Dataset) -> bytes:
    """The content of LEARNED, in the order of the hashes, so that the order of the films is not in it."""
    content = {"schema": 1, "hash": HASH}
    for part, films in zip(PARTS, (train, val), strict=True):
        hashes = sorted(frozenset().union(*hashes_of(films)))
        content[part] = base64.b64encode(b"".join(hashes)).decode()
    return (json.dumps(content, indent=1) + "\n").encode()


def read_learned(bundle: Bundle) -> Learned | None:
    """The films behind a run or bundle; None where it does not say.

    Raises:
        BundleError: the file is altered or not what this module writes.
    """
    if LEARNED not in bundle.card.files:
        return None
    try:
        content = parse_json(bundle.read(LEARNED))
        return Learned(*(_hashes(content[part]) for part in PARTS))
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{bundle.path}: {LEARNED} is not valid ({error}); get the bundle again") from error


def _hashes(text: str) -> frozenset[bytes]:
    packed = base64.b64decode(text, validate=True)
    if len(packed) % BYTES:
        raise ValueError("a hash is cut short")
    return frozenset(packed[start : start + BYTES] for start in range(0, len(packed), BYTES))


def hashes_of(films: Dataset) -> list[frozenset[bytes]]:
    """The hashes of each film: of its content, none where it cannot be read; of a public set also of its name."""
    return [_hash(sample, films.source) for sample in track(films.samples, "hashing films")]


def _hash(sample: Sample, source: str) -> frozenset[bytes]:
    name = f"{source}/{PurePosixPath(sample.name).stem}"
    found = {sha256_bytes(name.encode())} if source in PUBLIC else set()
    with contextlib.suppress(OSError, FilmError):
        found.add(sample.content_hash)
    return frozenset(bytes.fromhex(one)[:BYTES] for one in found)


def fresh_films(
    films: Dataset, split: str | None, bundle: Bundle, data: str, unseen_by: Sequence[Bundle] = ()
) -> tuple[Dataset, str, Seen]:
    """The films of one split, its name, and which of them a run or bundle has seen.

    Args:
        films: all films.
        split: as `choose_split`; `val` is the validation films of the bundle's training, where it names them.
        bundle: the run or bundle.
        data: where the films come from, for messages.
        unseen_by: runs or bundles whose films are left out.

    Raises:
        SourceError: no such split, or no film is left.
        BundleError: a bundle's hashes are not valid.
    """
    learned = read_learned(bundle)
    if split == "val" and learned is not None:
        chosen, used = own_val_films(films, learned, data), "val"
    else:
        chosen, used = choose_split(films, split, data)
    seen = find_seen(chosen, [learned, *map(read_learned, unseen_by)])
    if not unseen_by or not len(seen):
        return chosen, used, seen
    return without_seen(chosen, seen, data), used, replace(seen, left_out=True)


def own_val_films(films: Dataset, learned: Learned, data: str) -> Dataset:
    """The films that chose a run's checkpoint.

    Raises:
        SourceError: none of them is here.
    """
    chosen = np.array([bool(one & learned.val) for one in hashes_of(films)], dtype=bool)
    if not chosen.any():
        raise SourceError(
            f"{data}: expected its validation films, found none of them; give the films that the run was trained on"
        )
    return films.subset(np.flatnonzero(chosen))


def find_seen(films: Dataset, learned: Sequence[Learned | None]) -> Seen:
    """The films that any of these runs learned from, or that chose its checkpoint."""
    everything = _union(one for one in learned if one is not None)
    if not everything.train | everything.val:
        return Seen((), (), len(films))
    named = list(zip((sample.name for sample in films.samples), hashes_of(films), strict=True))
    train = {name for name, one in named if one & everything.train}
    val = {name for name, one in named if one & everything.val} - train
    return Seen(tuple(sorted(train)), tuple(sorted(val)), len(films))


def without_seen(films: Dataset, seen: Seen, data: str) -> Dataset:
    """The films that are not among `seen`.

    Raises:
        SourceError: none is left.
    """
    gone = {*seen.train, *seen.val}
    kept: NDArray[np.int64] = np.flatnonzero([sample.name not in gone for sample in films.samples])
    if not len(kept):
        raise SourceError(f"{data}: expected films that the reader has not seen, it has seen all {len(films):,}")
    return films.subset(kept)


def _union(parts: Iterable[Learned]) -> Learned:
    found = Learned()
    for part in parts:
        found = found | part
    return found
