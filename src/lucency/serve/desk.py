"""What the routes share: the reading processes, the places before them, the counters, the bundle's facts."""

from __future__ import annotations

import asyncio
from base64 import b64encode

from starlette.requests import Request

from lucency.bundle import Bundle
from lucency.serve.entry import Places
from lucency.serve.limits import Limits
from lucency.serve.log import Log
from lucency.serve.metrics import Metrics
from lucency.serve.pool import Answer, Pool
from lucency.serve.refusals import UnreadableError
from lucency.serve.shapes import OneReading, Unread, model_facts
from lucency.serve.tokens import Tokens


class Desk:
    """Where requests are met."""

    def __init__(self, bundle: Bundle, processes: int, limits: Limits, tokens: Tokens, log: Log) -> None:
        """Nothing is started yet; `pool.start` does."""
        self.limits, self.tokens = limits, tokens
        self.model = model_facts(bundle)
        self.metrics = Metrics(bundle)
        self.places = Places(processes + limits.queue)
        self.metrics.watch(lambda: self.places.taken)
        self.pool = Pool(bundle, processes, limits, self.metrics, log)
        self._abreast = processes

    async def read(self, request: Request, film: bytes, name: str, map: bool) -> Answer:
        """Read one film for a request.

        Raises:
            Refusal: see `Pool.read`.
        """
        answer = await self.pool.read(film, name, map, request.is_disconnected)
        self.metrics.verdicts.labels(answer.reading["verdict"]).inc()
        return answer

    async def read_all(self, request: Request, films: list[bytes], map: bool) -> list[OneReading | Unread]:
        """Read several films, as many at once as there are processes; one that is broken costs no other.

        Raises:
            Refusal: see `Pool.read`, but for films that cannot be read.
        """
        abreast = asyncio.Semaphore(self._abreast)

        async def one(number: int, film: bytes) -> OneReading | Unread:
            name = f"film {number}"
            async with abreast:
                try:
                    return one_reading(await self.read(request, film, name, map))
                except UnreadableError as error:
                    return Unread(film=name, error=str(error))

        asked = [asyncio.ensure_future(one(number, film)) for number, film in enumerate(films, 1)]
        try:
            return await asyncio.gather(*asked)
        finally:
            for each in asked:  # if one has failed for all: nobody waits for the others any more
                each.cancel()


def one_reading(answer: Answer) -> OneReading:
    """An answer in the server's words."""
    drawn = b64encode(answer.picture).decode() if answer.picture else None
    return OneReading(**answer.reading, map=drawn)
