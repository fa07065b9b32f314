"""`lucency serve`: an HTTP server that reads films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    bundle: Annotated[Path | None, typer.Option(help="Bundle or run. [default: the one that ships]")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    workers: Annotated[int | None, typer.Option(help="Processes that read. [default: one per core]", min=1)] = None,
    queue: Annotated[int, typer.Option(help="Requests that may wait; further ones are answered 503.", min=0)] = 64,
    max_mb: Annotated[int, typer.Option(help="MiB of one request.", min=1, max=1024)] = 32,
    max_megapixels: Annotated[int, typer.Option(help="Megapixels of one film.", min=1, max=100)] = 40,
    timeout: Annotated[float, typer.Option(help="Seconds for a film to arrive, and again to be read.", min=0.1)] = 30,
    batch: Annotated[int, typer.Option(help="Films in one request to /v1/batch.", min=1)] = 32,
    tokens: Annotated[
        Path | None, typer.Option(help="File of bearer tokens, one a line. [default: LUCENCY_TOKENS, comma-separated]")
    ] = None,
    page: Annotated[bool, typer.Option(help="Serve the page that reads on the device itself at /.")] = True,
    json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")] = False,
) -> None:
    """Serve a reader over HTTP: POST a film to /v1/read. See /docs on the server, and docs/serving.md.

    Films stay in memory and out of the log. SIGTERM finishes what was accepted and exits with code 0.

    Example: lucency serve --port 8000 & curl -F film=@film.png http://127.0.0.1:8000/v1/read
    """
    from os import cpu_count

    from lucency.bundle import DEFAULT, open_bundle
    from lucency.serve.app import create_app, listen
    from lucency.serve.app import serve as run
    from lucency.serve.settings import Limits, json_log, open_tokens, plain_log
    from lucency.serve.static import page_for

    log = json_log if json else plain_log
    limits = Limits(max_mb, max_megapixels, timeout, queue, batch)
    accepted = open_tokens(tokens)
    opened = open_bundle(bundle or DEFAULT)
    processes = workers or cpu_count() or 1
    sock = listen(host, port)
    if host not in LOOPBACK and not accepted:
        log("open to all", advice="anyone who reaches this address can use it; --tokens FILE asks for a token")

    def on_start() -> None:
        address = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
        log("serving", at=address, bundle=opened.card.name, digest=opened.digest[:12], processes=processes)

    files = page_for(opened) if page else {}
    run(create_app(opened, processes, limits, accepted, log, files), sock, limits, on_start)
