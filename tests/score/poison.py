"""A process that scores, in which some films end it or hold it up."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from lucency.film import Film
from lucency.score import table
from lucency.score.engines import serve_batches
from lucency.score.table import Failure


def serve(line: Connection) -> None:
    fetch_film = table.fetch_film

    def fetch(place: str) -> Film | Failure:
        if "poison" in place:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "slow" in place:
            time.sleep(3600)
        return fetch_film(place)

    table.fetch_film = fetch
    serve_batches(line)
