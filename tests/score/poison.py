"""A process that scores, in which some films end it, hold it up, or ask for more memory than there is."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

import numpy as np

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

    open_film = table.open_film

    def opened(source: object, name: str) -> Film:
        if "huge" in str(source):
            np.ones(2**33, dtype=np.uint8)  # 8 GiB
        return open_film(source, name=name)

    table.fetch_film, table.open_film = fetch, opened
    serve_batches(line)
