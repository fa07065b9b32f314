"""`lucency read`, `score` and `lungs`: films on the command line, or millions from a manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency import NOTICE
from lucency.cli import echo, one_line
from lucency.cli.inputs import AllowMissing, Json, JsonLines, ShippedBundle, Threads, print_json, report_unreadable
from lucency.errors import SOME_UNREADABLE

if TYPE_CHECKING:
    from lucency.errors import FilmError
    from lucency.film import Film
    from lucency.lungs import Lungs
    from lucency.reader import Reader, Reading
    from lucency.score import Summary


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
    from lucency.cli.inputs import film_paths
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


KEY_BYTES = 32
MIN_KEY_BYTES = 16


def score(
    manifest: Annotated[
        str, typer.Option(help="Text, .csv, .tsv or .parquet of paths; or a folder or glob.", show_default=False)
    ],
    out: Annotated[str, typer.Option(help="Folder of the Parquet files, or its URL.", show_default=False)],
    bundle: ShippedBundle = None,
    column: Annotated[str | None, typer.Option(help="The table's column of paths. [default: path or film]")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [default: the number of cores]")] = None,
    engine: Annotated[str, typer.Option(help="local: processes here; ray: Ray Data; plain: this process.")] = "local",
    address: Annotated[str | None, typer.Option(help="Ray cluster, such as ray-head:6379; implies ray.")] = None,
    part: Annotated[str, typer.Option(help="K/N: the K-th of N parts, for N machines that share a manifest.")] = "1/1",
    shard: Annotated[int, typer.Option(min=1, help="Films in a Parquet file.")] = 10_000,
    no_paths: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Write keyed hashes for paths; key file, created if absent."),
    ] = None,
    allow_missing: AllowMissing = False,
    retry: Annotated[bool, typer.Option("--retry", help="Score films with transient failures again.")] = False,
    json: Json = False,
) -> int:
    """Score every film of a manifest, one row each in Parquet files; a film that cannot be read has its reason instead.

    After an interruption or crash the same command continues. Relative paths refer to the manifest's folder; films,
    manifest and output may be in a store (s3://, gs://, https://…). The exit code is 3 where some films failed.

    Example: lucency score --manifest films.csv --out scores --workers 8
    """
    from lucency.bundle import DEFAULT, open_bundle
    from lucency.errors import UsageError
    from lucency.score import ENGINES, open_manifest
    from lucency.score import score as run

    chosen = "ray" if address else engine
    if chosen not in ENGINES:
        raise UsageError(f"--engine: expected one of {', '.join(ENGINES)}, received {engine!r}")
    if address:
        os.environ["RAY_ADDRESS"] = address
    summary = run(
        open_manifest(manifest, column),
        open_bundle(bundle or DEFAULT),
        out,
        ENGINES[chosen],
        workers or os.cpu_count() or 1,
        shard,
        _part(part),
        _key(no_paths) if no_paths else None,
        retry,
        allow_missing,
    )
    _show_summary(summary, json)
    return SOME_UNREADABLE if summary.failed else 0


def _show_summary(summary: Summary, json: bool) -> None:
    from json import dumps

    echo(dumps(summary.to_json(), ensure_ascii=False) if json else summary.text())


def _part(text: str) -> tuple[int, int]:
    from lucency.errors import UsageError

    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise UsageError(f"--part: expected K/N with K from 1 to N, such as 3/10, received {text!r}")
    return int(first), int(last)


def _key(path: Path) -> bytes:
    """The key in a file, or a new one written there, readable by its owner only."""
    from secrets import token_bytes

    from lucency.errors import UsageError
    from lucency.files import beside

    if not path.exists():
        with beside(path, mode=0o600) as draft:
            draft.write_bytes(token_bytes(KEY_BYTES))
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: expected a key, cannot read it ({error.strerror})") from error
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(f"{path}: expected a key of at least {MIN_KEY_BYTES} bytes, received {len(key)}")
    return key


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
