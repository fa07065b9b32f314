"""`lucency serve`: a server that reads films sent to it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    bundle: Annotated[Path | None, typer.Option(help="Bundle or run; without it the one that ships.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    workers: Annotated[int | None, typer.Option(help="Processes that read. [default: the cores]", min=1)] = None,
    queue: Annotated[int, typer.Option(help="Requests that may wait; one more is answered 503.", min=0)] = 64,
    max_mb: Annotated[int, typer.Option(help="MiB that one request may have.", min=1, max=1024)] = 32,
    max_megapixels: Annotated[int, typer.Option(help="Megapixels that a film may have.", min=1, max=100)] = 40,
    timeout: Annotated[float, typer.Option(help="Seconds for a film to arrive, and again to be read.", min=0.1)] = 30,
    batch: Annotated[int, typer.Option(help="Films in one request to /v1/batch.", min=1)] = 32,
    tokens: Annotated[
        Path | None, typer.Option(help="File of bearer tokens, one a line. [default: LUCENCY_TOKENS, by commas]")
    ] = None,
    page: Annotated[bool, typer.Option(help="At /, the page that reads on the device itself.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line, for machines.")] = False,
) -> None:
    """Serve a reader over HTTP: POST a film to /v1/read. See /docs on the server, and docs/serving.md.

    Films stay in memory and out of the log. SIGTERM finishes what was accepted and leaves with exit code 0.

    Example: lucency serve --port 8000 & curl -F film=@film.png http://127.0.0.1:8000/v1/read
    """
    from os import cpu_count

    from lucency.bundle import DEFAULT, open_bundle
    from lucency.serve.app import create_app
    from lucency.serve.limits import Limits
    from lucency.serve.log import as_json, plain
    from lucency.serve.run import listen
    from lucency.serve.run import serve as run
    from lucency.serve.site import page_for
    from lucency.serve.tokens import open_tokens

    log = as_json if json else plain
    limits = Limits(max_mb, max_megapixels, timeout, queue, batch)
    known = open_tokens(tokens)
    opened = open_bundle(bundle or DEFAULT)
    processes = workers or cpu_count() or 1
    where = listen(host, port)
    if host not in LOOPBACK and not known:
        log("open to all", advice="whoever reaches this address can use it; --tokens FILE asks for a token")

    def begun() -> None:
        address = f"http://{f'[{host}]' if ':' in host else host}:{where.getsockname()[1]}"
        log("serving", at=address, bundle=opened.card.name, digest=opened.digest[:12], processes=processes)

    files = page_for(opened) if page else {}
    run(create_app(opened, processes, limits, known, log, files), where, limits, begun)
