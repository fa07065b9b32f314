"""Work on threads, some of it done before it is asked for, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(work: Callable[[Item], Done], items: Iterable[Item], threads: int, most: int) -> Iterator[Done]:
    """Yield `work(item)` for each item, in order; at most `most` are in work or wait to be taken."""
    waiting = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        queue = deque(pool.submit(work, item) for item in islice(waiting, most))
        while queue:
            done = queue.popleft().result()
            queue.extend(pool.submit(work, item) for item in islice(waiting, 1))
            yield done
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who stops early does not wait for what is in work
