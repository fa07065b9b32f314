"""Where scores go: Parquet files that each hold a run of the manifest's rows and say in their footer what they are.

A shard is written whole or not at all, and nothing else remembers how far the scoring came: what is there is done.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lucency import NOTICE, __version__
from lucency.bundle import Bundle
from lucency.errors import OutputError
from lucency.files import beside, write_text
from lucency.score.fetch import PASSING
from lucency.score.manifest import is_url, require_store

KEY = b"lucency"
"""Under which a file's own metadata holds its label, as JSON."""


@dataclass(frozen=True)
class Label:
    """What a shard says of itself."""

    bundle: str
    digest: str
    """SHA-256 of the bundle's card, which names all of the bundle."""
    preprocess: dict[str, Any]
    size: int
    """Films in a shard that is full."""
    number: int
    films: int
    names: str
    """SHA-256 over the names in it, as they are written, in order."""
    verdicts: dict[str, int]
    failures: dict[str, int]
    """Films without a score, by cause."""
    lucency: str = __version__
    notice: str = NOTICE


@dataclass(frozen=True)
class Shards:
    """A folder, here or in a store, that gets the shards."""

    out: str
    bundle: Bundle = field(repr=False)
    size: int

    @cached_property
    def written(self) -> dict[int, Label]:
        """The shards that are there, and what they say; one that cannot be read is as if it were not there.

        Raises:
            OutputError: a shard of another bundle or size lies there.
        """
        labels = {label.number: label for name in self._listed() if (label := self._label(name)) is not None}
        for label in labels.values():
            self._require_same(label)
        return labels

    def holds(self, number: int, names: Sequence[str], retry: bool = False) -> bool:
        """Whether that shard is done; with `retry` one whose failures may pass is not.

        Raises:
            OutputError: it holds other films.
        """
        label = self.written.get(number)
        if label is None:
            return False
        if label.films > len(names) or label.names != digest_of(names[: label.films]):
            raise OutputError(
                f"{self.out}: shard {number} holds other films than the manifest names now; choose another --out"
            )
        return label.films == len(names) and not (retry and PASSING & set(label.failures))

    def require_at_most(self, count: int) -> None:
        """Refuse a folder with more shards than the manifest now makes.

        Raises:
            OutputError: there are more.
        """
        spare = [number for number in self.written if number >= count]
        if spare:
            raise OutputError(
                f"{self.out}: holds shard {max(spare)}, the manifest now ends at {count - 1}; choose another --out"
            )

    def write(self, number: int, names: Sequence[str], table: pa.Table) -> Label:
        """Write a shard whole.

        Args:
            number: which, from 0.
            names: of its films, as they are to be written.
            table: of SCHEMA, a row a film.

        Raises:
            OutputError: it cannot be written.
        """
        label = self._new_label(number, names, table)
        rows = pa.array(range(number * self.size, number * self.size + len(names)), pa.int64())
        table = table.set_column(0, "film", pa.array(names, pa.string())).add_column(0, "row", rows)
        self._put(number, table.replace_schema_metadata({KEY: json.dumps(asdict(label))}))
        return label

    def note(self, name: str, content: str) -> None:
        """Write a small text beside the shards; names that begin with _ are gone past by readers of Parquet folders.

        Raises:
            OutputError: it cannot be written.
        """
        if is_url(self.out):
            self._pipe(name, content.encode())
        else:
            write_text(Path(self.out) / name, content)

    def begin(self) -> None:
        """Say beside the shards what they will be, so that a place that cannot be written is known before the first.

        Raises:
            OutputError: it cannot be.
        """
        about = {"bundle": self.bundle.card.name, "digest": self.bundle.digest, "films_a_shard": self.size}
        about |= {"preprocess": self.bundle.card.preprocess.model_dump(), "lucency": __version__, "notice": NOTICE}
        self.note("_about.json", json.dumps(about, indent=2) + "\n")

    def _new_label(self, number: int, names: Sequence[str], table: pa.Table) -> Label:
        verdicts = Counter(verdict for verdict in table["verdict"].to_pylist() if verdict is not None)
        failures = Counter(kind for kind in table["error_kind"].to_pylist() if kind is not None)
        return Label(
            bundle=self.bundle.card.name,
            digest=self.bundle.digest,
            preprocess=self.bundle.card.preprocess.model_dump(),
            size=self.size,
            number=number,
            films=len(names),
            names=digest_of(names),
            verdicts=dict(verdicts),
            failures=dict(failures),
        )

    def _require_same(self, label: Label) -> None:
        if label.digest != self.bundle.digest:
            raise OutputError(
                f"{self.out}: holds scores of the bundle {label.bundle} ({label.digest[:12]}), "
                f"this one is {self.bundle.card.name} ({self.bundle.digest[:12]}); choose another --out"
            )
        if label.size != self.size:
            raise OutputError(
                f"{self.out}: holds shards of {label.size} films, expected {self.size}; "
                f"use --shard {label.size}, or choose another --out"
            )

    def _listed(self) -> list[str]:
        if is_url(self.out):
            store, inside = self._store()
            store.invalidate_cache()
            return sorted(store.glob(f"{inside}/part-*.parquet"))
        return sorted(str(path) for path in Path(self.out).glob("part-*.parquet"))

    def _label(self, name: str) -> Label | None:
        store = self._store()[0] if is_url(self.out) else None
        try:
            metadata = pq.read_metadata(name, filesystem=store).metadata or {}
            return Label(**json.loads(metadata[KEY]))
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
            return None

    def _put(self, number: int, table: pa.Table) -> None:
        name = f"part-{number:06}.parquet"
        if is_url(self.out):
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd")
            self._pipe(name, bytes(sink.getvalue()))
            return
        path = Path(self.out) / name
        for draft in path.parent.glob(f".{name}.*"):
            draft.unlink(missing_ok=True)  # left by a process that was killed
        with beside(path) as draft:
            pq.write_table(table, draft, compression="zstd")

    def _pipe(self, name: str, content: bytes) -> None:
        store, inside = self._store()
        try:
            store.makedirs(inside, exist_ok=True)
            store.pipe_file(f"{inside}/{name}", content)  # an object appears whole or not at all
        except Exception as error:  # each store has exceptions of its own
            why = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise OutputError(f"{self.out}: cannot be written ({why}); choose another --out") from error

    def _store(self) -> tuple[Any, str]:
        import fsspec

        require_store(self.out)
        store, inside = fsspec.core.url_to_fs(self.out)
        return store, inside.rstrip("/")


def digest_of(names: Sequence[str]) -> str:
    """SHA-256 over names; another order or another division into names gives another."""
    digest = hashlib.sha256()
    for name in names:
        content = name.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()
