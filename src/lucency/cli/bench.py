"""`lucency bench`: how fast a bundle reads, stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    bundle: Annotated[Path, typer.Argument(help="The bundle or run to measure.", metavar="BUNDLE")],
    against: Annotated[list[Path] | None, typer.Option(help="Another to measure in turns with it; repeat.")] = None,
    threads: Annotated[str | None, typer.Option(help="Such as 1,2. [default: 1 to the cores]")] = None,
    films: Annotated[int, typer.Option(min=1, help="How many films.")] = 40,
    data: Annotated[str | None, typer.Option(help="Films to read. [default: drawn JPEG of 1024 × 1024]")] = None,
    cold: Annotated[bool, typer.Option(help="Measure lucency read as a process of its own too.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Measure latency by stage (decode, resize, infer, map), films per second, memory and the cold start.

    With several threads, stages are those of one film with all threads on it, and films per second those of films side
    by side. A run has PyTorch's own number of threads, whatever --threads says.

    Example: lucency bench bundle-int8 --against bundle-float --threads 1,2
    """
    import tempfile
    from json import dumps

    from lucency.bench import cold_start, measure, phantom_files, some_files, table, to_json
    from lucency.bundle import read_card

    counts = _counts(threads)
    bundles = [bundle, *(against or [])]
    for each in bundles:
        read_card(each)  # so that a wrong one shows before films are drawn
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            files, what = phantom_files(Path(folder), films), "drawn 1024 × 1024 JPEG films"
        else:
            from lucency.data import read_dataset

            files, what = some_files(read_dataset(data), films), f"films of {data}"
        benches = measure(bundles, files, counts)
        colds = [cold_start(each, files[0]) if cold else None for each in bundles]
    measured = list(zip(benches, colds, strict=True))
    told = f"{len(files)} {what}"
    typer.echo(dumps(to_json(measured, told), indent=2, ensure_ascii=False) if json else table(measured, told))


def _counts(threads: str | None) -> list[int]:
    """Numbers of threads from "1,2"; 1 to the number of cores where none is given.

    Raises:
        UsageError: not a list of numbers above zero.
    """
    from os import cpu_count

    from lucency.errors import UsageError

    if threads is None:
        return list(range(1, (cpu_count() or 1) + 1))
    words = threads.replace(",", " ").split()
    if not words or not all(word.isdigit() and int(word) for word in words):
        raise UsageError(f"--threads: expected numbers such as 1,2, came {threads!r}")
    return [int(word) for word in words]
