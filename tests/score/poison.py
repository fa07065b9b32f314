"""A process that scores, in which some films end it or hold it up."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from lucency.bundle import Bundle
from lucency.film import Film
from lucency.score import fetch, table
from lucency.score.fetch import Failure
from lucency.score.worker import serve_batches


def serve(line: Connection, bundle: Bundle) -> None:
    def fetched(place: str) -> Film | Failure:
        if "poison" in place:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "slow" in place:
            time.sleep(3600)
        return fetch.fetched(place)

    table.fetched = fetched
    serve_batches(line, bundle)
