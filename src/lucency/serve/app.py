"""The server as an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from lucency import NOTICE, __version__
from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.serve.around import Around
from lucency.serve.desk import Desk
from lucency.serve.films import film_routes
from lucency.serve.limits import Limits
from lucency.serve.log import Log, plain
from lucency.serve.looks import front_route, look_routes
from lucency.serve.site import site_routes
from lucency.serve.tokens import Tokens
from lucency.serve.wrong import answer_errors

FAILURE = "failure"
"""In the application's state: the error for which it did not start."""


def create_app(
    bundle: Bundle,
    processes: int = 1,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
    log: Log = plain,
    page: Mapping[str, bytes] | None = None,
) -> FastAPI:
    """The server; its reading processes start and end with the application's lifespan.

    Args:
        bundle: what reads.
        processes: that read side by side.
        limits: what a client may ask for.
        tokens: who may ask; everyone without them.
        log: where a line goes for each request and each event.
        page: the files of the page at `/` that reads on the device itself (`lucency.serve.site`); none without them.
    """
    limits = limits or Limits()
    desk = Desk(bundle, processes, limits, tokens or Tokens([]), log)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await desk.pool.start()
        except BundleError as error:
            setattr(app.state, FAILURE, error)
            raise
        try:
            yield
        finally:
            await desk.pool.stop()

    app = FastAPI(
        title="lucency",
        version=__version__,
        description=f"Reads chest films for pneumonia. {NOTICE}",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere; ours is in lucency.serve.page
        redoc_url=None,
    )
    app.add_middleware(Around, limits=limits, metrics=desk.metrics, log=log)
    answer_errors(app)
    app.include_router(film_routes(desk))
    app.include_router(look_routes(desk, app))
    app.include_router(site_routes(page) if page else front_route())
    return app
