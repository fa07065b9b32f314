"""lucency dicom: films in, structured reports and overlays out, as files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency import NOTICE
from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from lucency.dicom.answer import Answer
    from lucency.reader import Reader


def dicom(
    films: Annotated[list[Path], typer.Argument(help="DICOM files.", metavar="FILM.dcm…")],
    out: Annotated[Path, typer.Option(help="Folder for the answers; they are named by their own UIDs.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle or run; without it the one that ships.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
) -> int:
    """Answer DICOM films with a TID 1500 structured report and a secondary capture of the map.

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
            _print_json({"film": str(path), "error": str(error)}) if json else typer.echo(f"{error}", err=True)
    if not json:
        typer.echo(f"\n{NOTICE}")
    return SOME_UNREADABLE if unread else 0


def _content(path: Path) -> bytes:
    from lucency.errors import FilmError
    from lucency.film.film import read_file

    try:
        return read_file(path)
    except FilmError as error:
        raise error.prefixed(str(path)) from None


def _written(path: Path, reader: Reader, out: Path) -> tuple[Answer, dict[str, Path]]:
    """Each part in a file of its own, those of an earlier run untouched: a UID names one content for ever.

    The overlay says of which film it is; a film of another content under the same UID is refused.
    """
    from lucency.dicom.acceptance import accept, conflict
    from lucency.dicom.answer import answer, content_of
    from lucency.files import write_bytes

    accepted = accept(_content(path), str(path))
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
        _print_json({**reading.to_json(), "film": str(path), **files})
        return
    typer.echo(f"{path}  {reading.finding} {reading.probability:.3f}  → {reading.verdict or 'none'}")
    for what, place in places.items():
        typer.echo(f"  {what}: {place}")


def _print_json(content: dict[str, object]) -> None:
    from json import dumps

    typer.echo(dumps(content, ensure_ascii=False))
