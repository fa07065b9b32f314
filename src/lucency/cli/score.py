"""`lucency score`: millions of films, to Parquet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import AllowMissing, Json, ShippedBundle
from lucency.cli.terminal import echo
from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from lucency.score import Summary

KEY_BYTES = 32
MIN_KEY_BYTES = 16


def score(
    manifest: Annotated[
        str, typer.Option(help="Text, .csv, .tsv or .parquet of paths; or a folder or glob.", show_default=False)
    ],
    out: Annotated[str, typer.Option(help="Folder of the Parquet files, or its URL.", show_default=False)],
    bundle: ShippedBundle = None,
    column: Annotated[str | None, typer.Option(help="The table's column of paths. [default: path or film]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: the number of cores]")] = None,
    engine: Annotated[str, typer.Option(help="local: processes here; ray: Ray Data; plain: this process.")] = "local",
    address: Annotated[str | None, typer.Option(help="Ray cluster, such as ray-head:6379; implies ray.")] = None,
    part: Annotated[str, typer.Option(help="K/N: the K-th of N parts, for N machines that share a manifest.")] = "1/1",
    shard: Annotated[int, typer.Option(min=1, help="Films in a Parquet file.")] = 10_000,
    no_paths: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Write keyed hashes for paths; key file, created if absent."),
    ] = None,
    allow_missing: AllowMissing = False,
    retry: Annotated[bool, typer.Option("--retry", help="Score films with transient failures again.")] = False,
    json: Json = False,
) -> int:
    """Score every film of a manifest, one row each in Parquet files; a film that cannot be read has its reason instead.

    After an interruption or crash the same command continues. Relative paths refer to the manifest's folder; films,
    manifest and output may be in a store (s3://, gs://, https://…). The exit code is 3 where some films failed.

    Example: lucency score --manifest films.csv --out scores --workers 8
    """
    from lucency.bundle import DEFAULT, open_bundle
    from lucency.errors import UsageError
    from lucency.score import ENGINES, open_manifest
    from lucency.score import score as run

    chosen = "ray" if address else engine
    if chosen not in ENGINES:
        raise UsageError(f"--engine: expected one of {', '.join(ENGINES)}, received {engine!r}")
    if address:
        os.environ["RAY_ADDRESS"] = address
    summary = run(
        open_manifest(manifest, column),
        open_bundle(bundle or DEFAULT),
        out,
        ENGINES[chosen],
        workers or os.cpu_count() or 1,
        shard,
        _part(part),
        _key(no_paths) if no_paths else None,
        retry,
        allow_missing,
    )
    _show(summary, json)
    return SOME_UNREADABLE if summary.failed else 0


def _show(summary: Summary, json: bool) -> None:
    from json import dumps

    echo(dumps(summary.to_json(), ensure_ascii=False) if json else summary.text())


def _part(text: str) -> tuple[int, int]:
    from lucency.errors import UsageError

    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise UsageError(f"--part: expected K/N with K from 1 to N, such as 3/10, received {text!r}")
    return int(first), int(last)


def _key(path: Path) -> bytes:
    """The key in a file, or a new one written there, readable by its owner only."""
    from secrets import token_bytes

    from lucency.errors import UsageError
    from lucency.files import beside

    if not path.exists():
        with beside(path, mode=0o600) as draft:
            draft.write_bytes(token_bytes(KEY_BYTES))
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected a key, cannot read it ({error.strerror})") from error
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(f"{path}: expected a key of at least {MIN_KEY_BYTES} bytes, received {len(key)}")
    return key
