"""`lucency lungs`: lung segmentation of films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.cli.inputs import JsonLines
from lucency.cli.terminal import echo, one_line

if TYPE_CHECKING:
    from lucency.film import Film
    from lucency.lungs import Lungs


def lungs(
    films: Annotated[list[Path], typer.Argument(help="PNG, JPEG, TIFF or DICOM files.", metavar="FILM…")],
    out: Annotated[Path, typer.Option(help="Folder for masks and outlines.")] = Path("lungs"),
    json: JsonLines = False,
) -> int:
    """Find the lungs: a mask of the film's size, their outline over the film, their share of it, and doubts.

    A film that cannot be read is skipped and reported at the end; the exit code is then 3.

    Example: lucency lungs film.png --out lungs
    """
    from lucency.cli.inputs import unique_names
    from lucency.errors import SOME_UNREADABLE, FilmError
    from lucency.film import open_film
    from lucency.lungs import find_lungs
    from lucency.progress import track

    unreadable: list[FilmError] = []
    names = unique_names(films)
    for path in track(films, "finding lungs", total=len(films)):
        try:
            film = open_film(path)
        except FilmError as error:
            unreadable.append(error)
            continue
        found = find_lungs(film.gray8())
        _write(film, found, out / names[path])
        _print(path, found, out / f"{names[path]}.mask.png", json)
    for reason in unreadable:
        echo(reason, err=True)
    return SOME_UNREADABLE if unreadable else 0


def _write(film: Film, found: Lungs, stem: Path) -> None:
    from PIL import Image

    from lucency.files import write_bytes
    from lucency.paint import outlined, png

    write_bytes(stem.with_name(f"{stem.name}.mask.png"), png(Image.fromarray(found.mask.astype("uint8") * 255)))
    write_bytes(stem.with_name(f"{stem.name}.outline.png"), png(outlined(film, found.logits)))


def _print(path: Path, found: Lungs, mask: Path, json: bool) -> None:
    from lucency.lungs import DOUBTS

    if json:
        from json import dumps

        facts = {"film": str(path), "share": found.share, "box": found.box, "doubts": found.doubts, "mask": str(mask)}
        echo(dumps(facts, ensure_ascii=False))
        return
    echo(f"{one_line(path)}  lungs cover {found.share:.1%} of the film  → {mask}")
    for code in found.doubts:
        echo(f"  doubt: {DOUBTS[code]}")
