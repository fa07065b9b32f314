"""The output: Parquet files of consecutive rows of the manifest, each labelled in its footer, and a summary.

A shard is written atomically and is the only record of progress: a shard that exists is done.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lucency import NOTICE, __version__
from lucency.bundle import Bundle
from lucency.errors import OutputError
from lucency.files import beside, locked, unwritable, write_text
from lucency.score.manifest import first_line, is_url, require_store
from lucency.score.table import KINDS, NOTHING, TRANSIENT

KEY = b"lucency"
"""Of the label, JSON, in a Parquet file's metadata."""
WHOLE = (1, 1)
"""The part that is the whole manifest."""


@dataclass(frozen=True)
class Label:
    """The contents of a shard."""

    bundle: str
    digest: str
    """SHA-256 of the bundle's card, which identifies the bundle."""
    preprocess: dict[str, Any]
    size: int
    """Films in a full shard."""
    number: int
    films: int
    names: str
    """SHA-256 over the films' names as they are written, in order."""
    verdicts: dict[str, int]
    failures: dict[str, int]
    """Films without a score, by cause."""
    lucency: str = __version__
    notice: str = NOTICE


@dataclass(frozen=True)
class Shards:
    """The folder, here or in a store, of the shards."""

    out: str
    bundle: Bundle = field(repr=False)
    size: int

    @cached_property
    def written(self) -> dict[int, Label]:
        """The shards that exist, by number; one that cannot be read counts as absent.

        Raises:
            OutputError: there is a shard of another bundle or size.
        """
        labels = {label.number: label for name in self._list() if (label := self._read_label(name)) is not None}
        for label in labels.values():
            self._require_same(label)
        return labels

    def holds(self, number: int, names: Sequence[str], retry: bool = False) -> bool:
        """Whether that shard is done; with `retry`, one with transient failures is not.

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
        return label.films == len(names) and not (retry and TRANSIENT & set(label.failures))

    def require_at_most(self, count: int) -> None:
        """Raise if the folder has more shards than the manifest."""
        spare = [number for number in self.written if number >= count]
        if spare:
            raise OutputError(
                f"{self.out}: holds shard {max(spare)}, the manifest now ends at {count - 1}; choose another --out"
            )

    def write(self, number: int, names: Sequence[str], table: pa.Table) -> Label:
        """Write a shard, whole or not at all.

        Args:
            number: which, from 0.
            names: of its films, as they are to be written.
            table: of SCHEMA, one row per film.

        Raises:
            OutputError: it cannot be written.
        """
        label = self._label(number, names, table)
        rows = pa.array(range(number * self.size, number * self.size + len(names)), pa.int64())
        table = table.set_column(0, "film", pa.array(names, pa.string())).add_column(0, "row", rows)
        self._write_table(f"part-{number:06}.parquet", table.replace_schema_metadata({KEY: json.dumps(asdict(label))}))
        return label

    def write_note(self, name: str, content: dict[str, Any]) -> None:
        """Write a small JSON file beside the shards; readers of Parquet folders skip names that begin with _.

        Raises:
            OutputError: it cannot be written.
        """
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if is_url(self.out):
            self._pipe(name, text.encode())
        else:
            write_text(Path(self.out) / name, text)

    def begin(self) -> None:
        """Write _about.json, so that an unwritable place fails before the first film is read.

        Raises:
            OutputError: it cannot be written.
        """
        about = {"bundle": self.bundle.card.name, "digest": self.bundle.digest, "films_a_shard": self.size}
        about |= {"preprocess": self.bundle.card.preprocess.model_dump(), "lucency": __version__, "notice": NOTICE}
        self.write_note("_about.json", about)

    def _label(self, number: int, names: Sequence[str], table: pa.Table) -> Label:
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

    def _list(self) -> list[str]:
        if is_url(self.out):
            store, inside = self._store()
            store.invalidate_cache()
            return sorted(store.glob(f"{inside}/part-*.parquet"))
        return sorted(str(path) for path in Path(self.out).glob("part-*.parquet"))

    def _read_label(self, name: str) -> Label | None:
        store = self._store()[0] if is_url(self.out) else None
        try:
            metadata = pq.read_metadata(name, filesystem=store).metadata or {}
            return Label(**json.loads(metadata[KEY]))
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
            return None

    def _write_table(self, name: str, table: pa.Table) -> None:
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
        except Exception as error:  # each store has its own exceptions
            raise OutputError(f"{self.out}: cannot be written ({first_line(error)}); choose another --out") from error

    def _store(self) -> tuple[Any, str]:
        import fsspec

        require_store(self.out)
        store, inside = fsspec.core.url_to_fs(self.out)
        return store, inside.rstrip("/")


@contextmanager
def lock_part(out: str, part: tuple[int, int]) -> Iterator[None]:
    """Let one process at a time score a part of a manifest into a folder. Stores have no locks.

    The whole excludes every part; different parts exclude only themselves.

    Raises:
        OutputError: another process scores there, or the folder cannot be written.
    """
    if is_url(out):
        yield
        return
    folder, own = Path(out), Path(out) / f"_lock-{part[0]}-of-{part[1]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if part != WHOLE:
            own.touch()
    except OSError as error:
        raise unwritable(folder, error) from error
    with ExitStack() as held:
        held.enter_context(locked(folder, shared=part != WHOLE))
        if part != WHOLE:
            held.enter_context(locked(own))
        yield


def digest_of(names: Sequence[str]) -> str:
    """SHA-256 over names, their order and their boundaries."""
    digest = hashlib.sha256()
    for name in names:
        content = name.encode()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


@dataclass(frozen=True)
class Summary:
    """Films of a manifest, or of one part of it, by verdict, and failures by cause."""

    out: str
    bundle: str
    digest: str
    films: int
    verdicts: dict[str, int]
    """Films by verdict, the most frequent first."""
    failures: dict[str, int]
    """Films without a score by cause, the most frequent first."""
    scored_now: int
    """Films scored by this call; the others were before."""
    seconds: float
    """Duration, with the start of the processes."""
    skipped: dict[str, int]
    """Files of the folder that are not named like films, by suffix."""

    @classmethod
    def of(
        cls, shards: Shards, labels: Iterable[Label], scored_now: int, seconds: float, skipped: Mapping[str, int]
    ) -> Summary:
        """The summary of these shards."""
        verdicts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for label in labels:
            verdicts.update(label.verdicts)
            failures.update(label.failures)
        counts = dict(verdicts.most_common()), dict(failures.most_common())
        films = verdicts.total() + failures.total()
        bundle = shards.bundle
        return cls(shards.out, bundle.card.name, bundle.digest, films, *counts, scored_now, seconds, dict(skipped))

    @property
    def failed(self) -> int:
        """Films without a score."""
        return sum(self.failures.values())

    def to_json(self) -> dict[str, Any]:
        """The output of `--json` and the content of `_summary.json`."""
        rate = {"films_per_second": round(self.scored_now / self.seconds, 2)} if self.seconds else {}
        return {**vars(self), "seconds": round(self.seconds, 1), **rate, "failed": self.failed, "notice": NOTICE}

    def text(self) -> str:
        """The summary for a terminal."""
        lines = [f"{self.out}: {self.films} films by {self.bundle} ({self.digest[:12]})"]
        lines += [f"  {count:>9}  {verdict or NOTHING}" for verdict, count in self.verdicts.items()]
        if self.failures:
            lines.append(f"  {self.failed:>9}  without a score:")
            lines += [f"  {count:>11}  {kind}: {KINDS[kind]}" for kind, count in self.failures.items()]
        if self.scored_now:
            rate = self.scored_now / self.seconds if self.seconds else 0.0
            lines.append(f"{self.scored_now} scored now, {rate:.1f} films per second")
        else:
            lines.append("all were scored before; nothing to do")
        return "\n".join([*lines, NOTICE])
