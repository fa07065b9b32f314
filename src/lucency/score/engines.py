"""Who runs `score_batch`: this process, processes beside it, or Ray (lucency.score.on_ray).

An engine takes lists of paths and yields tables whose rows, in order, are those of the paths; how many rows a table
has is the engine's affair.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import pyarrow as pa

from lucency.bundle import Bundle
from lucency.bundle.golden import FOLDER
from lucency.prefetch import prefetch
from lucency.reader import Reader
from lucency.score.table import score_batch
from lucency.score.worker import Worker

Chunks = Iterator[list[str]]
Engine = Callable[[Chunks, Bundle, int], Generator[pa.Table, None, None]]
"""(lists of paths, bundle, workers) → tables."""

AHEAD = 4
"""Lists in work or waiting to be written, per worker, at most."""


def plain(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """One after the other in this process, whatever `workers` is; a film that ends the process ends it."""
    reader = Reader(bundle)
    for paths in chunks:
        yield score_batch(paths, reader)


def local(chunks: Chunks, bundle: Bundle, workers: int) -> Generator[pa.Table, None, None]:
    """`workers` processes on this machine."""
    every = [Worker(in_memory(bundle)) for _ in range(workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in every:
        idle.put(worker)

    def scored(paths: list[str]) -> pa.Table:
        worker = idle.get()
        try:
            return worker.score(paths)
        finally:
            idle.put(worker)

    tables = prefetch(scored, chunks, workers, AHEAD * workers)
    try:
        yield from tables
    finally:  # first of all on Ctrl-C: threads wait for these processes
        for worker in every:
            worker.close()


def in_memory(bundle: Bundle) -> Bundle:
    """The same bundle with its files held in memory: it can be sent to a process or machine that lacks its folder."""
    needed = [name for name in bundle.card.files if not name.startswith(f"{FOLDER}/")]
    return replace(bundle, load={name: bundle.read(name) for name in needed}.__getitem__)
