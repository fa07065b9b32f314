"""Works the queue off: waiting films become answers, answers are delivered."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from lucency.dicom.answer import answer
from lucency.dicom.deliver import Destination, Refused, Unreachable
from lucency.dicom.queue import Queue
from lucency.errors import LucencyError
from lucency.reader import Reader

MAX_CRASHES = 5
"""A film whose reading began this often without an end is given up: it ends the program."""
MAX_REFUSALS = 5
"""An answer that the destination refuses this often is given up; while the destination cannot be asked, never."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
IDLE_S, TROUBLE_S = 0.2, 2.0
Log = Callable[[str, str, str], None]
"""(what happened, the film's key, the reason)."""


def log_line(what: str, key: str, reason: str = "") -> None:
    """One line of log on stderr. It names a film by its key, never by its patient."""
    when = datetime.now().isoformat(timespec="seconds")
    print(f"{when} {what:<9} {key[:12]:<12} {reason}".rstrip(), file=sys.stderr, flush=True)


def read_one(queue: Queue, reader: Reader, log: Log = log_line) -> bool:
    """Answer the oldest waiting film; whether there was one."""
    if queue.is_short() and queue.counts()["answered"]:
        return False  # delivering frees space, and comes first
    item = queue.begin()
    if item is None:
        return False
    if item.tries >= MAX_CRASHES:
        _bury(queue, item.key, "reading it ended the program time and again", log)
        return True
    try:
        parts = answer(item.accepted or item.film, reader, datetime.now()).parts
    except LucencyError as error:
        _bury(queue, item.key, str(error), log)
    except Exception as error:  # a film must not stop the others; the message might name the patient
        _bury(queue, item.key, f"reading it failed ({type(error).__name__})", log)
    else:
        queue.answered(item.key, reader.bundle.digest, parts)
        log("answered", item.key, "")
    return True


def deliver_one(queue: Queue, send: Destination, log: Log = log_line) -> bool:
    """Deliver an answer that is due; whether one went out."""
    item = queue.due(time.time())
    if item is None:
        return False
    try:
        send(item.parts)
    except Refused as error:
        if item.refused + 1 >= MAX_REFUSALS:
            _bury(queue, item.key, str(error), log)
        else:
            queue.refused(item.key, time.time() + pause(item.refused), str(error))
            log("refused", item.key, str(error))
    except Unreachable as error:
        queue.hold(item.tries + 1, time.time() + pause(item.tries), str(error))
        log("waits", item.key, str(error))
        return False
    else:
        queue.delivered(item.key)
        log("delivered", item.key, "")
        if item.tries:
            queue.release()
    return True


def pause(tries: int) -> float:
    """Seconds before the next try: doubled each time, up to LONGEST_PAUSE_S.

    >>> [pause(tries) for tries in (0, 1, 2, 20)]
    [1.0, 2.0, 4.0, 300.0]
    """
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries, 30))


def _bury(queue: Queue, key: str, reason: str, log: Log) -> None:
    queue.bury(key, reason)
    log("dead", key, reason)


def start(
    queue: Queue, reader: Reader, send: Destination, stop: threading.Event, log: Log = log_line
) -> list[threading.Thread]:
    """Start two threads that work the queue off until `stop` is set."""
    steps = (lambda: read_one(queue, reader, log), lambda: deliver_one(queue, send, log))
    threads = [threading.Thread(target=_repeat, args=(step, queue, stop, log), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    return threads


@contextmanager
def working(queue: Queue, reader: Reader, send: Destination, log: Log = log_line) -> Iterator[None]:
    """Work the queue off beside the block, and after it until every film is delivered or given up, however long."""
    stop = threading.Event()
    threads = start(queue, reader, send, stop, log)
    try:
        yield
        while queue.unfinished():
            time.sleep(IDLE_S)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        queue.tidy()


def _repeat(step: Callable[[], bool], queue: Queue, stop: threading.Event, log: Log) -> None:
    tidy = True
    while not stop.is_set():
        try:
            if step():
                tidy = False
                continue
            if not tidy:
                queue.tidy()
                tidy = True
        except Exception as error:  # a full disk, for example: the film stays where it is, and we try again
            log("trouble", "", type(error).__name__)
            queue.give_reserve()
            stop.wait(TROUBLE_S)
        stop.wait(IDLE_S)
