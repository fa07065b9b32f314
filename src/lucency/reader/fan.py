"""An engine out of a function that reads one film: as many copies as there are threads, films spread over them."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lucency.reader.answers import Answers, Engine, Floats, Squares

One = Callable[[Squares], tuple[Floats, Floats, Floats]]
"""uint8 (side, side) → logits (f,), probabilities (f,), maps (f, h, w). Need not be safe to share between threads."""


def fan(make: Callable[[], One], threads: int) -> Engine:
    """An engine over at most `threads` copies of `make()`; a copy serves one film at a time.

    Static shapes make a file of one film the fastest there is on a phone; here many films run side by side.
    """
    idle: queue.LifoQueue[One | None] = queue.LifoQueue()
    for _ in range(threads - 1):
        idle.put(None)  # a copy not made yet: it costs memory and time that a single film need not pay
    idle.put(make())

    def one(square: Squares) -> tuple[Floats, Floats, Floats]:
        copy = idle.get()
        try:
            copy = copy or make()
            return copy(square)
        finally:
            idle.put(copy)

    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def engine(squares: Squares) -> Answers:
        found = list(map(one, squares) if pool is None or len(squares) == 1 else pool.map(one, squares))
        logits, probabilities, maps = (np.stack(column) for column in zip(*found, strict=True))
        return Answers(logits, probabilities, maps)

    return engine
