"""`lucency explain`: a reader's evidence by any explainer, painted beside the film."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from lucency.cli import echo, one_line
from lucency.cli.inputs import JsonLines, ShippedBundle, print_json, report_unreadable
from lucency.errors import FilmError, UsageError
from lucency.explain import BoundExplainer
from lucency.explain.explanation import bind, evidence_for, label_index, layer_lines

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lucency.arrays import Floats32
    from lucency.explain import BoundExplainer
    from lucency.film import Film
    from lucency.paint import Legend
    from lucency.reader import Reader, Reading


SHEET = "sheet.png"
ALL = "all"
"""In place of a label: each of them."""


def explain(
    films: Annotated[list[Path] | None, typer.Argument(help="PNG, JPEG, TIFF or DICOM files.", metavar="FILM…")] = None,
    bundle: ShippedBundle = None,
    method: Annotated[str, typer.Option(help="cam, occlusion; of a run any row of docs/explaining.md.")] = "cam",
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("maps"),
    layer: Annotated[str | None, typer.Option(help="Draw from this layer (grad_cam and its kin).")] = None,
    list_layers: Annotated[bool, typer.Option("--list-layers", help="Print a run's layers and stop.")] = False,
    opposite: Annotated[bool, typer.Option("--opposite", help="Show the evidence against the finding.")] = False,
    finding: Annotated[
        str | None, typer.Option(help="Which of several labels, or all: a picture of each. [default: the leading one]")
    ] = None,
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
    explainer = bind(reader, method, opposite=opposite, layer=layer)
    how = How(explainer, opposite, _indices(reader, finding), scale, not cells)
    done = _all(reader, films, how, out, json)
    if sheet and done.tiles:
        echo(f"{_write_sheet(reader, how, done.tiles, out)}: {len(done.tiles)} films on one page", err=json)
    return report_unreadable(done.unread, len(films))


@dataclass(frozen=True)
class How:
    """How every film is explained and painted."""

    explainer: BoundExplainer
    opposite: bool
    findings: tuple[int, ...]
    """Which logits; without any that of the reading's finding."""
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
        outline = reader.lung_outline(film)
        reading, maps = _one(reader, film, how)
        for index, evidence in maps.items():
            name = evidence_for(reader, index, how.opposite)
            each = f".{unique_label(name)}" if len(maps) > 1 else ""
            legend = _legend(reader, how, name, f"{reading.answer} · {how.explainer.method}")
            written = out / f"{names[path]}.{how.explainer.method}{each}.png"
            page = side_by_side(film, evidence, reader.preprocess, legend, how.smooth, lungs=outline)
            write_bytes(written, png(page))
            picture = overlay(film, evidence, reader.preprocess, replace(legend, mark=""), how.smooth, outline)
            done.tiles.append((f"{_number(reading, index)}  {path.stem}{each}", picture))
            _print(path, reading, (name, evidence), written, how, json)
    return done


def unique_label(name: str) -> str:
    """A label as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)


def _indices(reader: Reader, finding: str | None) -> tuple[int, ...]:
    if finding == ALL:
        return tuple(range(reader.card.findings))
    index = 0 if finding is None and reader.card.task == "binary" else label_index(reader, finding)
    return () if index is None else (index,)


def _one(reader: Reader, film: Film, how: How) -> tuple[Reading, dict[int, Floats32]]:
    """The reading of a film, and a map of each logit that is explained.

    If the logits are known the maps come first: an explainer reports a broken network in one line.
    """
    square = reader.preprocess(film)
    maps = {index: how.explainer.explain(square, index) for index in how.findings}
    reading = reader.read(film)
    return reading, maps or {reading.index: how.explainer.explain(square, reading.index)}


def _write_sheet(reader: Reader, how: How, tiles: list[tuple[str, Image.Image]], out: Path) -> Path:
    from lucency.files import write_bytes
    from lucency.paint import png
    from lucency.paint.sheets import contact_sheet

    one = len(how.findings) == 1
    name = evidence_for(reader, how.findings[0], how.opposite) if one else "the label named below"
    legend = _legend(reader, how, name, f"{reader.card.name} · {how.explainer.method}")
    write_bytes(out / SHEET, png(contact_sheet(tiles, legend)))
    return out / SHEET


def _legend(reader: Reader, how: How, finding: str, title: str) -> Legend:
    from lucency.modality import MODALITIES
    from lucency.paint import Legend

    kind = MODALITIES[reader.card.modality]
    return Legend(how.limit, finding, how.explainer.unit, title, how.explainer.mark, kind)


def _print(path: Path, reading: Reading, explained: tuple[str, Floats32], written: Path, how: How, json: bool) -> None:
    mark, (name, evidence) = how.explainer.mark, explained
    if json:
        facts = {**reading.to_json(), "film": str(path), "method": how.explainer.method, "unit": how.explainer.unit}
        spot = {
            "explained": name,
            "map": evidence.tolist(),
            "picture": str(written),
            **({"mark": mark} if mark else {}),
        }
        print_json({**facts, **spot})
        return
    echo(f"{one_line(path)}  {reading.answer}  → {written}{_remark(evidence)}")
    if mark:
        echo(f"  doubt: {how.explainer.method} {mark}")


def _number(reading: Reading, index: int) -> str:
    return "–" if reading.withheld else f"{reading.probabilities[index]:.3f}"


def _remark(evidence: np.ndarray) -> str:
    """A remark on maps that say nothing."""
    if not evidence.any():
        return "  (no evidence either way: the map is zero everywhere)"
    if evidence.size == 1:
        return "  (a map of one cell has no place)"
    return ""
