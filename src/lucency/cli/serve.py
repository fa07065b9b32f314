"""`lucency serve` and `web`: a server that reads films, and the page that reads them on the device itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lucency import NOTICE
from lucency.cli import echo
from lucency.cli.inputs import Json

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
    from contextlib import nullcontext
    from os import cpu_count

    from lucency.bundle import DEFAULT, open_bundle
    from lucency.serve.app import create_app, listen
    from lucency.serve.app import serve as run
    from lucency.serve.settings import Limits, json_log, json_stderr, open_tokens, plain_log
    from lucency.serve.static import page_for

    log = json_log if json else plain_log
    limits = Limits(max_mb, max_megapixels, timeout, queue, batch)
    with json_stderr() if json else nullcontext():
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


def web(
    out: Annotated[Path, typer.Option(help="Folder for the page: new, or an earlier page.", show_default=False)],
    bundle: Annotated[Path | None, typer.Option(help="LiteRT bundle; without it the int8 one that ships.")] = None,
    texts: Annotated[Path | None, typer.Option(help="A translated copy of the page's i18n.js.")] = None,
    json: Json = False,
) -> None:
    """Write a page that reads films in the browser: static files, installable, without a network after the first visit.

    Serve the folder with any static server, over https or on localhost; no film leaves the device.

    Example: lucency web --out page && python -m http.server --directory page
    """
    from json import dumps

    from lucency.bundle import DEFAULT, open_bundle
    from lucency.web import write_page

    page = write_page(open_bundle(bundle or DEFAULT.with_name("int8")), out, texts)
    if json:
        echo(dumps({"out": str(page.out), "version": page.version, "files": page.files, "bytes": page.bytes}))
        return
    echo(
        f"{page.out}: {page.files} files, {page.bytes / 1e6:.1f} MB, version {page.version[:16]}\n"
        f"Look at it:  python -m http.server --directory {page.out}  and open http://localhost:8000\n"
        "On a phone, serve it over https: browsers keep pages and give the camera only then.\n"
        f"{NOTICE}"
    )
