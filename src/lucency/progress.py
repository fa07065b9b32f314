"""A bar with the time left, on stderr, for anything that takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")

PATIENCE_S = 2.0
"""No progress is shown before this many seconds."""


def track(
    items: Iterable[Item], doing: str, total: int | None = None, worth: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """Yield `items` unchanged; draw progress, rate and time left once they take longer than two seconds.

    `total` is the sum of `worth` over the items: 1 each, or the number of films in an item. A terminal gets a moving
    bar, a log a line every ten seconds. Neither names a film.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = shown = time.monotonic()
    live = sys.stderr.isatty()
    pause = 0.2 if live else 10.0
    done = 0
    try:
        for item in items:
            yield item
            done = min(done + worth(item), total or sys.maxsize)  # a last batch may be short
            now = time.monotonic()
            if now - start > PATIENCE_S and now - shown >= pause:
                shown = now
                _show(line(doing, done, total, now - start), live)
    finally:
        if shown != start:
            _show(line(doing, done, total, time.monotonic() - start), live, end="\n")


def line(doing: str, done: int, total: int | None, seconds: float) -> str:
    """One line of progress: task, count, rate, time left.

    >>> line("reading films", 50, 100, 10.0)
    'reading films    50/100  50%  5.0/s  0:10 left'
    """
    rate = done / seconds if seconds > 0 else 0.0
    if not total:
        return f"{doing} {done:>5}  {rate:.1f}/s"
    left = (total - done) / rate if rate else 0.0
    return f"{doing} {done:>5}/{total} {100 * done // total:>3}%  {rate:.1f}/s  {clock(left)} left"


def clock(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`.

    >>> clock(75), clock(3700)
    ('1:15', '1:01:40')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def _show(text: str, live: bool, end: str = "") -> None:
    if live:
        print(f"\r\x1b[2K{text}", end=end, file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
