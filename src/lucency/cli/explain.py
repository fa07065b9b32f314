"""`lucency explain`: a reader's evidence by any explainer, painted beside the film."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from lucency.cli.inputs import JsonLines, ShippedBundle, print_json, report_unreadable
from lucency.cli.terminal import echo, one_line
from lucency.errors import FilmError, UsageError
from lucency.explain import BoundExplainer
from lucency.explain.bind import bind, evidence_for, label_index, layer_lines

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
    bundle: ShippedBundle = None,
    method: Annotated[str, typer.Option(help="cam, occlusion; of a run any row of docs/explaining.md.")] = "cam",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("maps"),
    layer: Annotated[str | None, typer.Option(help="Draw from this layer (grad_cam and its kin).")] = None,
    list_layers: Annotated[bool, typer.Option("--list-layers", help="Print a run's layers and stop.")] = False,
    opposite: Annotated[bool, typer.Option("--opposite", help="Show the evidence against the finding.")] = False,
    finding: Annotated[str | None, typer.Option(help="Which label, where there are several.")] = None,
    scale: Annotated[
        float | None, typer.Option(help="End of the colour scale, the same for every film. [default: the method's]")
    ] = None,
    cells: Annotated[bool, typer.Option("--cells", help="Show the map's own cells, not smoothed.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help=f"Also one page with all films, {SHEET}.")] = False,
    json: JsonLines = False,
) -> int:
    """Show where a reader looked: film, overlay, map and scale side by side, one PNG a film.

    The overlay marks the strongest evidence; on the map beside it yellow is evidence for the finding and blue against
    it, on one scale for all films. A film that cannot be read is skipped and reported at the end; the exit code is
    then 3.

    Example: lucency explain film.png --bundle runs/kermany --method grad_cam --out maps
    """
    from lucency.reader import Reader

    reader = Reader.open(bundle)
    if list_layers:
        echo("\n".join(layer_lines(reader)))
        return 0
    if not films:
        raise UsageError("expected at least one film to explain, got none; name its file")
    how = How(
        bind(reader, method, opposite=opposite, layer=layer), opposite, label_index(reader, finding), scale, not cells
    )
    done = _all(reader, films, how, out, json)
    if sheet and done.tiles:
        echo(f"{_write_sheet(reader, how, done.tiles, out)}: {len(done.tiles)} films on one page", err=json)
    return report_unreadable(done.unread, len(films))


@dataclass(frozen=True)
class How:
    """How every film is explained and painted."""

    explainer: BoundExplainer
    opposite: bool
    finding: int | None
    """Which logit; None is that of the reading's finding."""
    scale: float | None
    smooth: bool

    @property
    def limit(self) -> float:
        """End of the colour scale."""
        return self.explainer.limit if self.scale is None else self.scale


@dataclass(frozen=True)
class Done:
    """The results over all films."""

    tiles: list[tuple[str, Image.Image]] = field(default_factory=list)
    """A line and an overlay per film, for the contact sheet."""
    unread: list[FilmError] = field(default_factory=list)


def _all(reader: Reader, films: list[Path], how: How, out: Path, json: bool) -> Done:
    from dataclasses import replace

    from lucency.cli.inputs import unique_names
    from lucency.files import write_bytes
    from lucency.film import open_film
    from lucency.paint import overlay, png
    from lucency.paint.sheets import side_by_side
    from lucency.progress import track

    done = Done()
    names = unique_names(films)
    for path in track(films, "explaining films", total=len(films)):
        try:
            film = open_film(path)
        except FilmError as error:
            done.unread.append(error)
            continue
        reading, index, evidence = _one(reader, film, how)
        legend = _legend(reader, how, index, f"{reading.answer} · {how.explainer.method}")
        written, outline = out / f"{names[path]}.{how.explainer.method}.png", reader.lung_outline(film)
        page = side_by_side(film, evidence, reader.preprocess, legend, how.smooth, lungs=outline)
        write_bytes(written, png(page))
        picture = overlay(film, evidence, reader.preprocess, replace(legend, mark=""), how.smooth, outline)
        done.tiles.append((f"{_number(reading)}  {path.stem}", picture))
        _print(path, reading, evidence, written, how, json)
    return done


def _one(reader: Reader, film: Film, how: How) -> tuple[Reading, int, Floats32]:
    """The reading of a film, which logit is explained, and the map.

    If the logit is known the map comes first: an explainer reports a broken network in one line.
    """
    known = 0 if how.finding is None and reader.card.task == "binary" else how.finding
    if known is not None:
        evidence = how.explainer.explain(reader.preprocess(film), known)
        return reader.read(film), known, evidence
    reading = reader.read(film)
    return reading, reading.index, how.explainer.explain(reader.preprocess(film), reading.index)


def _write_sheet(reader: Reader, how: How, tiles: list[tuple[str, Image.Image]], out: Path) -> Path:
    from lucency.files import write_bytes
    from lucency.paint import png
    from lucency.paint.sheets import contact_sheet

    legend = _legend(reader, how, how.finding or 0, f"{reader.card.name} · {how.explainer.method}")
    write_bytes(out / SHEET, png(contact_sheet(tiles, legend)))
    return out / SHEET


def _legend(reader: Reader, how: How, index: int, title: str) -> Legend:
    from lucency.paint import Legend

    finding = evidence_for(reader, index, how.opposite)
    return Legend(how.limit, finding, how.explainer.unit, title, how.explainer.mark)


def _print(path: Path, reading: Reading, evidence: Floats32, written: Path, how: How, json: bool) -> None:
    mark = how.explainer.mark
    if json:
        facts = {**reading.to_json(), "film": str(path), "method": how.explainer.method, "unit": how.explainer.unit}
        spot = {"map": evidence.tolist(), "picture": str(written), **({"mark": mark} if mark else {})}
        print_json({**facts, **spot})
        return
    echo(f"{one_line(path)}  {reading.answer}  → {written}{_remark(evidence)}")
    if mark:
        echo(f"  doubt: {how.explainer.method} {mark}")


def _number(reading: Reading) -> str:
    return "–" if reading.probability is None else f"{reading.probability:.3f}"


def _remark(evidence: np.ndarray) -> str:
    """A remark on maps that say nothing."""
    if not evidence.any():
        return "  (no evidence either way: the map is zero everywhere)"
    if evidence.size == 1:
        return "  (a map of one cell has no place)"
    return ""
