"""`lucency explain`: where a reader looked, by any explainer, painted beside the film."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lucency.errors import SOME_UNREADABLE, FilmError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lucency.arrays import Floats32
    from lucency.explain import BoundExplainer
    from lucency.film import Film
    from lucency.paint import Legend
    from lucency.reader import Reader, Reading

SHEET = "sheet.png"


def explain(
    films: Annotated[list[Path] | None, typer.Argument(help="PNG, JPEG, TIFF or DICOM files.", metavar="FILM…")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Run or bundle; without it the one that ships.")] = None,
    method: Annotated[str, typer.Option(help="cam, occlusion; of a run any row of docs/explaining.md.")] = "cam",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("maps"),
    layer: Annotated[str | None, typer.Option(help="Draw from this layer (grad_cam and its kin).")] = None,
    list_layers: Annotated[bool, typer.Option("--list-layers", help="Print a run's layers and stop.")] = False,
    opposite: Annotated[bool, typer.Option("--opposite", help="Ask what speaks against the finding.")] = False,
    finding: Annotated[str | None, typer.Option(help="Which label, where there are several.")] = None,
    scale: Annotated[
        float | None, typer.Option(help="Where the colours end, for every film alike. [default: the method's]")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Show the map's own cells, not smoothed.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help=f"Also one page with all films, {SHEET}.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a film, for machines.")] = False,
) -> int:
    """Show where a reader looked: film, overlay, map and scale side by side, one PNG a film.

    Yellow speaks for the finding and blue against it, on one scale for all films. A film that cannot be read is gone
    past and reported at the end; the exit code is then 3.

    Example: lucency explain film.png --bundle runs/kermany --method grad_cam --out maps
    """
    from lucency.cli.explainers import bind, label_index, layer_lines
    from lucency.reader import Reader

    reader = Reader.open(bundle)
    if list_layers:
        typer.echo("\n".join(layer_lines(reader)))
        return 0
    if not films:
        raise UsageError("expected at least one film to explain, got none; name its file")
    how = How(
        bind(reader, method, opposite=opposite, layer=layer), opposite, label_index(reader, finding), scale, not cells
    )
    done = _all(reader, films, how, out, json)
    if sheet and done.tiles:
        typer.echo(f"{_write_sheet(reader, how, done.tiles, out)}: {len(done.tiles)} films on one page", err=json)
    return _report(done.unread, len(films))


@dataclass(frozen=True)
class How:
    """What is asked of every film, and how it is painted."""

    explainer: BoundExplainer
    opposite: bool
    finding: int | None
    """Which logit; None asks for the one that the reading speaks of."""
    scale: float | None
    smooth: bool

    @property
    def limit(self) -> float:
        """Where the colours end."""
        return self.explainer.limit if self.scale is None else self.scale


@dataclass(frozen=True)
class Done:
    """What came of the films."""

    tiles: list[tuple[str, Image.Image]] = field(default_factory=list)
    """A line and an overlay a film, for the contact sheet."""
    unread: list[FilmError] = field(default_factory=list)


def _all(reader: Reader, films: list[Path], how: How, out: Path, json: bool) -> Done:
    from lucency.film import open_film
    from lucency.paint import overlay
    from lucency.progress import track

    done = Done()
    names = _names(films)
    for path in track(films, "explaining films", total=len(films)):
        try:
            film = open_film(path)
        except FilmError as error:
            done.unread.append(error)
            continue
        reading, index, evidence = _one(reader, film, how)
        legend = _legend(reader, how, index, f"{reading.finding} {reading.probability:.3f} · {how.explainer.method}")
        written = _write(reader, film, evidence, legend, how, out / f"{names[path]}.{how.explainer.method}.png")
        picture = overlay(film, evidence, reader.preprocess, _legend(reader, how, index, mark=False), how.smooth)
        done.tiles.append((f"{reading.probability:.3f}  {path.stem}", picture))
        _tell(path, reading, evidence, written, how, json)
    return done


def _one(reader: Reader, film: Film, how: How) -> tuple[Reading, int, Floats32]:
    """The reading of a film, which logit is explained, and the map.

    Where the logit is known beforehand the map comes first: an explainer refuses a broken network in one line.
    """
    known = 0 if how.finding is None and reader.card.task == "binary" else how.finding
    if known is not None:
        evidence = how.explainer.explain(reader.preprocess(film), known)
        return reader.read(film), known, evidence
    reading = reader.read(film)
    return reading, reading.index, how.explainer.explain(reader.preprocess(film), reading.index)


def _write(reader: Reader, film: Film, evidence: Floats32, legend: Legend, how: How, path: Path) -> Path:
    from lucency.files import write_bytes
    from lucency.paint import png
    from lucency.paint.sheets import side_by_side

    write_bytes(path, png(side_by_side(film, evidence, reader.preprocess, legend, how.smooth)))
    return path


def _write_sheet(reader: Reader, how: How, tiles: list[tuple[str, Image.Image]], out: Path) -> Path:
    from lucency.files import write_bytes
    from lucency.paint import png
    from lucency.paint.sheets import contact_sheet

    legend = _legend(reader, how, how.finding or 0, f"{reader.card.name} · {how.explainer.method}")
    write_bytes(out / SHEET, png(contact_sheet(tiles, legend)))
    return out / SHEET


def _legend(reader: Reader, how: How, index: int, title: str = "", mark: bool = True) -> Legend:
    from lucency.paint import Legend

    return Legend(
        how.limit,
        _asked_for(reader, index, how.opposite),
        how.explainer.unit,
        title,
        how.explainer.mark if mark else "",
    )


def _asked_for(reader: Reader, index: int, opposite: bool) -> str:
    """What bright yellow speaks for, in the card's words."""
    card = reader.card
    if card.task == "binary":
        return card.labels[0 if opposite else 1]
    return f"not {card.labels[index]}" if opposite else card.labels[index]


def _names(films: list[Path]) -> dict[Path, str]:
    """A name a film for its picture; two files of one name are told apart by a number."""
    names: dict[Path, str] = {}
    for path in films:
        name, number = path.stem, 1
        while name in names.values():
            number += 1
            name = f"{path.stem}-{number}"
        names.setdefault(path, name)
    return names


def _tell(path: Path, reading: Reading, evidence: Floats32, written: Path, how: How, json: bool) -> None:
    mark = how.explainer.mark
    if json:
        from json import dumps

        facts = {**reading.to_json(), "film": str(path), "method": how.explainer.method, "unit": how.explainer.unit}
        spot = {"map": evidence.tolist(), "picture": str(written), **({"mark": mark} if mark else {})}
        typer.echo(dumps({**facts, **spot}, ensure_ascii=False))
        return
    typer.echo(f"{path}  {reading.finding} {reading.probability:.3f}  → {written}{_remark(evidence)}")
    if mark:
        typer.echo(f"  doubt: {how.explainer.method} {mark}")


def _remark(evidence: np.ndarray) -> str:
    """What the picture alone would leave open."""
    if not evidence.any():
        return "  (no evidence either way: the map is zero everywhere)"
    if evidence.size == 1:
        return "  (a map of one cell: nothing about where)"
    return ""


def _report(unread: list[FilmError], total: int) -> int:
    for error in unread:
        typer.echo(f"{error}", err=True)
    if unread:
        typer.echo(f"{len(unread)} of {total} films could not be read", err=True)
    return SOME_UNREADABLE if unread else 0
