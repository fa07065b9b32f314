"""lucency read: probability, verdict, warnings and map of each film."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency import NOTICE
from lucency.cli.inputs import JsonLines, ShippedBundle, Threads, print_json, report_unreadable
from lucency.cli.terminal import echo, one_line

if TYPE_CHECKING:
    from lucency.errors import FilmError
    from lucency.film import Film
    from lucency.reader import Reader, Reading


def read(
    films: Annotated[
        list[Path], typer.Argument(help="PNG, JPEG, TIFF or DICOM: files, folders, patterns.", metavar="FILM…")
    ],
    bundle: ShippedBundle = None,
    map: Annotated[Path | None, typer.Option(help="Folder for overlays: where the network looked.")] = None,
    age: Annotated[
        float | None, typer.Option(min=0, max=120, help="Of the patient, in years, where the films do not state it.")
    ] = None,
    json: JsonLines = False,
    threads: Threads = 1,
) -> int:
    """Read films: probability, verdict and warnings of each.

    Of a folder all films below it are read. What is no film of the kind learned from gets no probability, only the
    reason. A film that cannot be read is reported at the end; the others are read, and the exit code is 3.

    Example: lucency read film.png more_films --map maps
    """
    from lucency.cli.film_paths import film_paths
    from lucency.errors import UsageError
    from lucency.progress import track
    from lucency.reader import Reader, model_info

    reader = Reader.open(bundle, threads)
    if map and not reader.has_map:
        raise UsageError("--map: this network gives no map of its own; lucency explain --method occlusion draws one")
    unread: list[FilmError] = []
    taken: set[str] = set()
    paths, model = film_paths(films), model_info(reader.bundle)
    for path, outcome in track(reader.read_films(paths, age), "reading films", total=len(paths)):
        if isinstance(outcome, tuple):
            film, reading = outcome
            drawn = _draw(reader, path, film, reading, map, taken) if map else None
            _show(path, reading, drawn, model if json else None)
        else:
            unread.append(outcome)
            if json:
                print_json({"film": str(path), "error": str(outcome)})
    if not json and len(unread) < len(paths):
        echo(f"\n{_bundle_line(reader, bundle is None)}\n{NOTICE}")
    return report_unreadable(unread, len(paths))


def _show(path: Path, reading: Reading, drawn: Path | None, model: Mapping[str, Any] | None) -> None:
    """Print a reading; as JSON where the `model` is given."""
    if model is not None:
        content = {**reading.to_json(), "film": str(path), "model": model, "notice": NOTICE}
        print_json({**content, **({"map": str(drawn)} if drawn else {})})
        return
    echo(f"{one_line(path)}  {reading.answer}")
    for warning in reading.further_doubts:
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


def _bundle_line(reader: Reader, shipped: bool) -> str:
    """What read: how it calls a label, bands, on whom the probability was fitted, whom it learned from."""
    from lucency.reader.outputs import bands_line, calling

    card = reader.card
    lines = [
        f"{card.name} ({card.model.format}), {calling(card)}",
        f"bands: {bands_line(card)}" if card.task == "binary" else "",
        f"probability: fitted on {card.calibration.fitted_on or 'nothing, as the network gives it'}",
        f"learned from: {card.population.words}" if card.population.words else "",
        "this is `default`, in float32; the page of lucency web reads with `int8`" if shipped else "",
    ]
    return "\n".join(filter(None, lines))
