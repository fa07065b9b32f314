"""`lucency bench`: speed of a bundle by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lucency.cli.inputs import Json
from lucency.cli.terminal import echo


def bench(
    bundle: Annotated[Path, typer.Argument(help="The bundle or run to measure.", metavar="BUNDLE")],
    against: Annotated[
        list[Path] | None, typer.Option(help="Another bundle, measured in alternation; may be repeated.")
    ] = None,
    threads: Annotated[str | None, typer.Option(help="Such as 1,2. [default: 1 to the number of cores]")] = None,
    films: Annotated[int, typer.Option(min=1, help="Number of films.")] = 40,
    data: Annotated[str | None, typer.Option(help="Films to read. [default: drawn JPEGs of 1024 × 1024]")] = None,
    cold: Annotated[bool, typer.Option(help="Also measure lucency read as a separate process.")] = True,
    json: Json = False,
) -> None:
    """Measure latency by stage (decode, resize, infer, map), films per second, memory and the cold start.

    With several threads, stage times are for one film on all threads, and films per second for one film per thread. A
    run uses PyTorch's own number of threads.

    Example: lucency bench bundle-int8 --against bundle-float --threads 1,2
    """
    from json import dumps

    from lucency.bench import cold_start, measure, phantom_files, some_files, table, to_json
    from lucency.bundle import read_card
    from lucency.files import scratch

    counts = _counts(threads)
    bundles = [bundle, *(against or [])]
    for each in bundles:
        read_card(each)  # fails before films are drawn
    with scratch() as folder:
        if data is None:
            files, what = phantom_files(folder, films), "drawn 1024 × 1024 JPEG films"
        else:
            from lucency.data import read_dataset

            files, what = some_files(read_dataset(data), films), f"films of {data}"
        benches = measure(bundles, files, counts)
        colds = [cold_start(each, files[0]) if cold else None for each in bundles]
    measured = list(zip(benches, colds, strict=True))
    title = f"{len(files)} {what}"
    echo(dumps(to_json(measured, title), indent=2, ensure_ascii=False) if json else table(measured, title))


def _counts(threads: str | None) -> list[int]:
    """Numbers of threads from "1,2"; 1 to the number of cores without one."""
    from os import cpu_count

    from lucency.errors import UsageError

    if threads is None:
        return list(range(1, (cpu_count() or 1) + 1))
    words = threads.replace(",", " ").split()
    if not words or not all(word.isdigit() and int(word) for word in words):
        raise UsageError(f"--threads: expected numbers such as 1,2, received {threads!r}")
    return [int(word) for word in words]
