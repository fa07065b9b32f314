"""A reading as HTML for a notebook and as a matplotlib figure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from lucency import NOTICE
from lucency.errors import UsageError, name_extra
from lucency.evaluate.predictions import UNCERTAIN
from lucency.html import NOTEBOOK, data_url
from lucency.lungs import lung_outline
from lucency.modality import MODALITIES
from lucency.paint import Legend, overlay
from lucency.preprocess import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lucency.reader.reading import Reading

HIGH = 280
"""Pixels along a picture's height in a notebook."""
INK, REFER_INK = ("#2e7d32", "#b3261e"), "#8a6d00"
"""The first label, the finding; refer. Each at least 4.5:1 on white."""


def html(reading: Reading) -> str:
    """The reading as one self-contained block: film, map, answer, bands, doubts, notice."""
    ink = _ink(reading, reading.verdict)
    parts = [
        f'<div style="font-size:17px;font-weight:600;color:{ink}">{escape(reading.answer)}</div>',
        _scale(reading),
        "".join(f'<div style="color:#5c4a00">doubt: {escape(doubt)}</div>' for doubt in reading.further_doubts),
        f'<div style="color:#5a5a5a;font-size:12px;margin-top:6px">{escape(_footer(reading))}</div>',
    ]
    return f'<div style="{NOTEBOOK}">{_pictures_html(reading)}{"".join(parts)}</div>'


def pictures(reading: Reading) -> tuple[Image.Image, Image.Image]:
    """The film, and the film with its map; at their own size.

    Raises:
        UsageError: a reading without its film.
    """
    if reading.film is None or reading.card is None:
        raise UsageError("this reading was made without keeping its film; read it again with reader.read")
    film, preprocess = reading.film, Preprocess.from_json(reading.card.preprocess.model_dump())
    plain = Image.fromarray(film.rgb8())
    if reading.withheld:
        return plain, plain
    outline = lung_outline(film.gray8()) if MODALITIES[reading.card.modality].lungs else None
    return plain, overlay(film, reading.map, preprocess, lungs=outline)


def figure(reading: Reading) -> Figure:
    """Film and map side by side; see `Reading.plot`."""
    with name_extra():
        from matplotlib.figure import Figure

    drawn = Figure(figsize=(8, 4.6), layout="constrained")
    for axes, picture, title in zip(drawn.subplots(1, 2), pictures(reading), ("film", "map"), strict=True):
        axes.imshow(picture)
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    drawn.suptitle(reading.answer, fontsize=12)
    drawn.supxlabel("\n".join([*reading.further_doubts, _footer(reading)]), fontsize=8, wrap=True)
    return drawn


def _pictures_html(reading: Reading) -> str:
    if reading.film is None:
        return ""
    shown = pictures(reading)[: 1 if reading.withheld else 2]
    titles = ("the film", "the film with the strongest evidence marked")
    images = "".join(
        f'<img src="{data_url(_small(picture))}" alt="{title}" style="height:{HIGH}px;max-width:49%;'
        'object-fit:contain;background:#000;border-radius:4px">'
        for picture, title in zip(shown, titles, strict=False)
    )
    kind = MODALITIES[reading.card.modality if reading.card else "chest_xray"]
    key = "" if reading.withheld else Legend(finding=reading.finding, kind=kind).key
    return (
        f'<div style="display:flex;gap:2%">{images}</div>'
        f'<div style="color:#5a5a5a;font-size:12px;margin:4px 0 8px">{escape(key)}</div>'
    )


def _small(picture: Image.Image) -> Image.Image:
    """Twice the shown height, for dense displays; never enlarged."""
    small = picture.copy()
    small.thumbnail((4 * HIGH, 2 * HIGH))
    return small


def _scale(reading: Reading) -> str:
    """The bands as a bar with their names, and a needle at the probability."""
    if reading.withheld or not reading.bands:
        return ""
    stretches = "".join(
        f'<div title="{escape(str(band))}" style="width:{100 * (band.high - band.low):.2f}%;'
        f'background:{_ink(reading, band.verdict)}"></div>'
        for band in reading.bands
    )
    needle = (
        f'<div style="position:absolute;left:calc({100 * (reading.probability or 0):.2f}% - 2px);top:-4px;width:4px;'
        'height:18px;background:#1c1c1c;border:1px solid #fff;box-sizing:border-box"></div>'
    )
    words = ", ".join(map(str, reading.bands))
    return (
        f'<div style="position:relative;margin:8px 0 4px"><div style="display:flex;height:10px;gap:2px">{stretches}'
        f'</div>{needle}</div><div style="font-size:12px;color:#3c3c3c">{escape(words)}</div>'
    )


def _ink(reading: Reading, verdict: str) -> str:
    if verdict == UNCERTAIN or reading.withheld:
        return REFER_INK
    return INK[int(reading.card is not None and verdict != reading.card.labels[0])]


def _footer(reading: Reading) -> str:
    learned = reading.card.population.words if reading.card else ""
    return " ".join([f"Learned from: {learned}"] * bool(learned) + [NOTICE])
