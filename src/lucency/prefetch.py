"""Bounded prefetching on threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def prefetch(work: Callable[[Item], Done], items: Iterable[Item], threads: int, in_flight: int) -> Iterator[Done]:
    """Yield `work(item)` for each item, in order.

    Args:
        work: called on `threads` threads.
        items: taken as they are needed.
        threads: at least 1.
        in_flight: at most so many items are in work or done and not yet yielded.
    """
    waiting = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        queue = deque(pool.submit(work, item) for item in islice(waiting, in_flight))
        while queue:
            done = queue.popleft().result()
            queue.extend(pool.submit(work, item) for item in islice(waiting, 1))
            yield done
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # a caller that stops early does not wait for work in progress
