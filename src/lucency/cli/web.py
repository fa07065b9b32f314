"""`lucency web`: the page that reads films on the device itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lucency import NOTICE


def web(
    out: Annotated[Path, typer.Option(help="Folder for the page: new, or an earlier page.", show_default=False)],
    bundle: Annotated[Path | None, typer.Option(help="LiteRT bundle; without it the int8 one that ships.")] = None,
    texts: Annotated[Path | None, typer.Option(help="A translated copy of the page's i18n.js.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
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
        typer.echo(dumps({"out": str(page.out), "version": page.version, "files": page.files, "bytes": page.bytes}))
        return
    typer.echo(
        f"{page.out}: {page.files} files, {page.bytes / 1e6:.1f} MB, version {page.version[:16]}\n"
        f"Look at it:  python -m http.server --directory {page.out}  and open http://localhost:8000\n"
        "On a phone, serve it over https: browsers keep pages and give the camera only then.\n"
        f"{NOTICE}"
    )
