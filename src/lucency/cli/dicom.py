"""`lucency dicom` and `deid`: DICOM films answered with reports and overlays, or written without identity."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency import NOTICE
from lucency.cli.inputs import JsonLines, ShippedBundle, print_json
from lucency.cli.terminal import echo, one_line
from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from lucency.dicom.answer import Answer
    from lucency.dicom.deid import Pseudonyms
    from lucency.reader import Reader


def dicom(
    films: Annotated[list[Path], typer.Argument(help="DICOM files.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder for the answers; they are named by their own UIDs.")],
    bundle: ShippedBundle = None,
    json: JsonLines = False,
) -> int:
    """Answer DICOM films with a TID 1500 structured report and a secondary capture of the map.

    The bundle decides which: frontal chest films, slices of CT or MRI, photographs in colour.

    The UIDs of an answer follow from the film's and the bundle's: what was answered already is left as it is. A film
    that is not answered (lateral, no chest, for processing, broken) is named with the reason; the exit code is then 3.

    Example: lucency dicom film.dcm --out answers
    """
    from lucency.errors import FilmError
    from lucency.progress import track
    from lucency.reader import Reader

    reader = Reader.open(bundle)
    unread = 0
    for path in track(films, "answering films"):
        try:
            _show(path, _written(path, reader, out), json)
        except FilmError as error:
            unread += 1
            print_json({"film": str(path), "error": str(error)}) if json else echo(f"{error}", err=True)
    if not json:
        echo(f"\n{NOTICE}")
    return SOME_UNREADABLE if unread else 0


def _written(path: Path, reader: Reader, out: Path) -> tuple[Answer, dict[str, Path]]:
    """Each part in a file of its own, those of an earlier run untouched: a UID names one content for ever.

    The overlay says of which film it is; a film of another content under the same UID is refused.
    """
    from lucency.dicom.acceptance import accept, conflict
    from lucency.dicom.answer import answer, content_of
    from lucency.files import write_bytes

    accepted = accept(_content(path), str(path), reader.card.modality)
    answered = answer(accepted, reader, datetime.now(), str(path))
    places = {part.what: out / f"{part.what}-{part.uid}.dcm" for part in answered.parts}
    if places["overlay"].exists() and content_of(places["overlay"]) not in ("", accepted.content):
        raise conflict().prefixed(str(path))
    for part in answered.parts:
        if not places[part.what].exists():
            write_bytes(places[part.what], part.content)
    return answered, places


def _show(path: Path, done: tuple[Answer, dict[str, Path]], json: bool) -> None:
    answered, places = done
    reading = answered.reading
    if json:
        files = {what: str(place) for what, place in places.items()}
        print_json({**reading.to_json(), "film": str(path), **files})
        return
    echo(f"{one_line(path)}  {reading.answer}")
    for what, place in places.items():
        echo(f"  {what}: {place}")


def deid(
    films: Annotated[list[Path], typer.Argument(help="DICOM files: CR, DX, SC or photographs.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder: one folder a pseudonym, files named by their new UIDs.")],
    key: Annotated[Path, typer.Option(help="File with the secret key; the same key gives the same pseudonyms.")],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key first.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="You looked at the films: no text, no face is on them.")] = False,
    json: JsonLines = False,
) -> int:
    """Write films anew by DICOM's basic confidentiality profile (PS3.15 annex E), keeping only what is on a list.

    Patients, UIDs and dates are replaced alike in all films of one key. A film with text burnt in, or that may have
    some, and a photograph on which a face may be are refused with the reason; the exit code is then 3. Keep the key
    apart from the films, or destroy it.

    Example: lucency deid films/*.dcm --out given-away --key deid.key --new-key
    """
    from lucency.dicom.deid import make_key, read_key
    from lucency.errors import FilmError
    from lucency.progress import track

    if new_key:
        make_key(key)
    pseudonyms, refused = read_key(key), 0
    for path in track(films, "writing films anew"):
        try:
            place = str(_write_without_identity(path, out, pseudonyms, seen))
            print_json({"out": place}) if json else echo(place)
        except FilmError as error:
            refused += 1
            print_json({"film": str(path), "error": str(error)}) if json else echo(str(error), err=True)
    if refused:
        echo(f"\n{refused} of {len(films)} films were not written", err=True)
    return SOME_UNREADABLE if refused else 0


def _write_without_identity(path: Path, out: Path, pseudonyms: Pseudonyms, seen: bool) -> Path:
    from lucency.dicom.acceptance import conflict
    from lucency.dicom.deid import deidentify
    from lucency.files import write_bytes

    cleaned = deidentify(_content(path), pseudonyms, str(path), seen)
    place = out / cleaned.patient / f"{cleaned.uid}.dcm"
    for written in out.glob(f"*/{cleaned.uid}.dcm"):
        if written != place or written.read_bytes() != cleaned.content:
            raise conflict().prefixed(str(path))
    write_bytes(place, cleaned.content)
    return place


def _content(path: Path) -> bytes:
    from lucency.errors import FilmError
    from lucency.film.film import read_file

    try:
        return read_file(path)
    except FilmError as error:
        raise error.prefixed(str(path)) from None
