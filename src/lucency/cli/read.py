"""lucency read: probability, verdict, warnings and map of each film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency import NOTICE
from lucency.cli.inputs import JsonLines, ShippedBundle, Threads, print_json, report_unreadable
from lucency.cli.terminal import echo, one_line

if TYPE_CHECKING:
    from lucency.errors import FilmError
    from lucency.film import Film
    from lucency.reader import Reader, Reading


def read(
    films: Annotated[list[Path], typer.Argument(help="PNG, JPEG, TIFF or DICOM files.", metavar="FILM…")],
    bundle: ShippedBundle = None,
    map: Annotated[Path | None, typer.Option(help="Folder for overlays: where the network looked.")] = None,
    json: JsonLines = False,
    threads: Threads = 1,
) -> int:
    """Read films: probability, verdict and warnings of each.

    A film that cannot be read is reported at the end; the others are read, and the exit code is 3.

    Example: lucency read film.png --map maps
    """
    from lucency.progress import track
    from lucency.reader import Reader

    reader = Reader.open(bundle, threads)
    unread: list[FilmError] = []
    taken: set[str] = set()
    for path, outcome in track(reader.read_films(films), "reading films", total=len(films)):
        if isinstance(outcome, tuple):
            film, reading = outcome
            drawn = _draw(reader, path, film, reading, map, taken) if map else None
            _show(path, reading, drawn, json)
        else:
            unread.append(outcome)
            if json:
                print_json({"film": str(path), "error": str(outcome)})
    if not json:
        echo(f"\n{_bundle_line(reader)}\n{NOTICE}")
    return report_unreadable(unread, len(films))


def _show(path: Path, reading: Reading, drawn: Path | None, json: bool) -> None:
    if json:
        print_json({**reading.to_json(), "film": str(path), **({"map": str(drawn)} if drawn else {})})
        return
    refer = ": refer" if reading.verdict != reading.called else ""
    echo(f"{one_line(path)}  {reading.finding} {reading.probability:.3f}  → {reading.verdict or 'none'}{refer}")
    if len(reading.leading) > 1:
        echo(f"  {reading.shares}")
    for warning in reading.warnings:
        echo(f"  doubt: {warning}")
    if drawn:
        echo(f"  map: {drawn}")


def _draw(reader: Reader, path: Path, film: Film, reading: Reading, folder: Path, taken: set[str]) -> Path:
    """Write the overlay of a film, and of several classes one of each leading one; two of a name get two files.

    Returns:
        that of the finding.
    """
    import re

    from lucency.files import write_bytes
    from lucency.paint import overlay, png

    name, number = path.stem, 1
    while name in taken:
        number += 1
        name = f"{path.stem}-{number}"
    taken.add(name)
    outline, out = reader.lung_outline(film), folder / f"{name}.map.png"
    for index, label in (reading.leading or {reading.index: ""}).items():
        evidence = reading.map if index == reading.index else reading.maps[index]
        picture = overlay(film, evidence, reader.preprocess, lungs=outline)
        of_class = re.sub(r"\W+", "-", label)
        write_bytes(out if index == reading.index else folder / f"{name}.{of_class}.map.png", png(picture))
    return out


def _bundle_line(reader: Reader) -> str:
    card = reader.card
    point = card.operating_point
    return f"{card.name} ({card.model.format}), threshold {point.threshold:g} chosen by {point.chosen_by or 'default'}"
