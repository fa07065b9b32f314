"""lucency deid: films without who they are of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from lucency.dicom.deid import Pseudonyms


def deid(
    films: Annotated[list[Path], typer.Argument(help="DICOM files: gray CR, DX or SC.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder: one folder a pseudonym, files named by their new UIDs.")],
    key: Annotated[Path, typer.Option(help="File with the secret key; the same key gives the same pseudonyms.")],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key first.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="You looked at the films and found no text in them.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
) -> int:
    """Write films anew by DICOM's basic confidentiality profile (PS3.15 annex E), keeping only what is on a list.

    Patients, UIDs and dates are replaced alike in all films of one key. A film with text burnt in, or that may have
    some, is refused with the reason; the exit code is then 3. Keep the key apart from the films, or destroy it.

    Example: lucency deid films/*.dcm --out given-away --key deid.key --new-key
    """
    from json import dumps

    from lucency.dicom.deid import make_key, read_key
    from lucency.errors import FilmError
    from lucency.progress import track

    if new_key:
        make_key(key)
    pseudonyms, refused = read_key(key), 0
    for path in track(films, "writing films anew"):
        try:
            place = str(_written(path, out, pseudonyms, seen))
            typer.echo(dumps({"out": place}) if json else place)
        except FilmError as error:
            refused += 1
            typer.echo(dumps({"film": str(path), "error": str(error)}) if json else str(error), err=not json)
    if refused:
        typer.echo(f"\n{refused} of {len(films)} films were not written", err=True)
    return SOME_UNREADABLE if refused else 0


def _written(path: Path, out: Path, pseudonyms: Pseudonyms, seen: bool) -> Path:
    from lucency.dicom.acceptance import conflict
    from lucency.dicom.deid import deidentify
    from lucency.errors import FilmError
    from lucency.files import write_bytes
    from lucency.film.film import read_file

    try:
        data = read_file(path)
    except FilmError as error:
        raise error.prefixed(str(path)) from None
    cleaned = deidentify(data, pseudonyms, str(path), seen)
    place = out / cleaned.patient / f"{cleaned.uid}.dcm"
    for written in out.glob(f"*/{cleaned.uid}.dcm"):
        if written != place or written.read_bytes() != cleaned.content:
            raise conflict().prefixed(str(path))
    write_bytes(place, cleaned.content)
    return place
