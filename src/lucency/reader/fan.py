"""An engine out of a function that reads one film: threads inside a film for one, films side by side for many."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lucency.bundle import Card
from lucency.reader.answers import Answers, Engine, Floats, Squares, calibrated

Row = tuple[Floats, Floats, Floats]
"""logits (f,), maps (f, h, w), doubts (k,) of one film."""
NO_DOUBT = np.zeros(0, dtype=np.float32)
"""Of a network without a gate."""
One = Callable[[Squares], Row]
"""uint8 (side, side) → Row. Serves one call at a time."""


def fan(card: Card, make: Callable[[int], One], threads: int) -> Engine:
    """An engine over copies of `make(threads_inside_a_film)`, made when first needed.

    A static shape of one film makes the fastest file for a phone; a batch is read film by film, side by side.
    """
    first = make(1)  # so that a broken file shows when it is opened, not at the first film
    narrow = _copies(lambda: make(1), [first, *[None] * (threads - 1)])
    wide = _copies(lambda: make(threads), [None]) if threads > 1 else narrow
    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def batch(squares: Squares) -> Answers:
        if len(squares) == 1:
            return _stacked(card, [wide(squares[0])])
        return _stacked(card, list(map(narrow, squares) if pool is None else pool.map(narrow, squares)))

    def aside(squares: Squares) -> Answers:
        return _stacked(card, [narrow(square) for square in squares])

    return Engine(batch, aside)


def _copies(make: Callable[[], One], copies: list[One | None]) -> One:
    """A function that any thread may call, over `copies`; a call waits for an idle one.

    None is a copy not made yet: it costs memory and time that a single film need not pay.
    """
    idle: queue.LifoQueue[One | None] = queue.LifoQueue()
    for copy in reversed(copies):
        idle.put(copy)

    def one(square: Squares) -> Row:
        copy = idle.get()
        try:
            copy = copy or make()
            return copy(square)
        finally:
            idle.put(copy)

    return one


def _stacked(card: Card, rows: list[Row]) -> Answers:
    logits, maps, doubts = (np.stack(column) for column in zip(*rows, strict=True))
    return Answers(logits, calibrated(card, logits), maps, doubts)
