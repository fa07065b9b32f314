"""A film side by side with its map and a scale, and many films on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lucency import NOTICE
from lucency.errors import ExplainError
from lucency.film import Film
from lucency.paint import (
    FAINT,
    INK,
    PAPER,
    TOP,
    Legend,
    Map,
    colourise,
    font_of,
    line_height,
    map_alone,
    overlay,
    shown,
    stamp,
    text_width,
)
from lucency.preprocess import Preprocess


def side_by_side(
    film: Film,
    evidence: Map,
    preprocess: Preprocess,
    legend: Legend | None = None,
    smooth: bool = True,
    height: int | None = None,
    lungs: Map | None = None,
) -> Image.Image:
    """Film, overlay, map and its scale in a row, under a title and over the caption; mode RGB.

    `height` draws the film that many pixels high instead of its own size; `lungs` as for `overlay`.
    """
    legend = legend or Legend()
    panels = [
        shown(film, preprocess).convert("RGB"),
        overlay(film, evidence, preprocess, replace(legend, mark=""), smooth, lungs),
        map_alone(film, evidence, preprocess, replace(legend, mark=""), smooth),
    ]
    panels = [_scaled(panel, height or film.height) for panel in panels]
    panels[1:] = [stamp(panel, legend.mark) for panel in panels[1:]]
    text = _text_size(panels[0].height)
    return _captioned(_row([*panels, scale_bar(panels[0].height, legend)], gap=text // 2), legend.title, text)


def scale_bar(height: int, legend: Legend, text: int = 0) -> Image.Image:
    """The colours with their values, `height` pixels high; letters `text` pixels high, or in proportion."""
    font = font_of(text or _text_size(height))
    pad, wide = line_height(font), max(10, height // 24)
    ticks = [(share, f"{share * legend.limit:+.3g}" if share else "0") for share in (1.0, 0.5, 0.0, -0.5, -1.0)]
    above, below = f"for {legend.finding}", f"against {legend.finding}"
    inner = wide + 8 + max(text_width(label, font) for _, label in ticks)
    bar = Image.new("RGB", (2 + max(inner, *(text_width(t, font) for t in (above, below, legend.unit))), height), PAPER)
    top, bottom = 2 * pad, height - 2 * pad - 4
    strip = np.rint(np.linspace(TOP, 1, max(bottom - top, 2)))[:, None].astype(np.uint8).repeat(wide, axis=1)
    bar.paste(colourise(Image.fromarray(strip)), (0, top))
    pen = ImageDraw.Draw(bar)
    for share, label in ticks:
        y = top + (1 - share) / 2 * (bottom - top - 1)
        pen.line([(wide, y), (wide + 4, y)], fill=INK)
        pen.text((wide + 8, y), label, fill=INK, font=font, anchor="lm")
    pen.text((0, pad // 2), above, fill=INK, font=font)
    pen.text((0, bottom + 4), below, fill=INK, font=font)
    pen.text((0, bottom + 4 + pad), legend.unit, fill=FAINT, font=font)
    return bar


def contact_sheet(
    pictures: Sequence[tuple[str, Image.Image]], legend: Legend | None = None, tile: int = 224
) -> Image.Image:
    """Many overlays on one page, each with a line under it, over the key; mode RGB.

    Args:
        pictures: a line of text and an overlay per film, in reading order.
        legend: title, finding and mark that they share.
        tile: pixels of the square each picture is fitted into, keeping its shape.

    Raises:
        ExplainError: there is no picture.
    """
    if not pictures:
        raise ExplainError("a contact sheet needs at least one film, got none")
    legend = legend or Legend()
    columns = math.ceil(math.sqrt(len(pictures)))
    tiles = [_tile(line, picture, tile, legend.mark) for line, picture in pictures]
    rows = [_row(tiles[start : start + columns], gap=6) for start in range(0, len(tiles), columns)]
    sheet = Image.new("RGB", (columns * (tile + 6), sum(row.height for row in rows)), PAPER)
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    title = f"{legend.title}. {legend.key}".lstrip(". ")
    return _captioned(sheet, title, 13)


def _tile(line: str, picture: Image.Image, side: int, mark: str) -> Image.Image:
    """One picture of a contact sheet, `side` wide, its line under it."""
    font = font_of(12)
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (side, small.height + line_height(font) + 8), PAPER)
    page.paste(stamp(small, mark), ((side - small.width) // 2, 0))
    ImageDraw.Draw(page).text((2, small.height + 2), _shortened(line, font, side), fill=INK, font=font)
    return page


def _captioned(picture: Image.Image, title: str, text: int) -> Image.Image:
    """Title above, caption below, each in the page's own width."""
    font, small = font_of(text), font_of(max(10, text - 2))
    above, below = line_height(font) + 6 if title else 4, line_height(small) + 6
    width = max(picture.width + 8, text_width(title, font) + 8, text_width(NOTICE, small) + 8)
    page = Image.new("RGB", (width, picture.height + above + below), PAPER)
    page.paste(picture, (4, above))
    pen = ImageDraw.Draw(page)
    pen.text((4, 3), title, fill=INK, font=font)
    pen.text((4, page.height - below + 3), NOTICE, fill=FAINT, font=small)
    return page


def _row(panels: Sequence[Image.Image], gap: int) -> Image.Image:
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    row = Image.new("RGB", (width, max(panel.height for panel in panels)), PAPER)
    x = 0
    for panel in panels:
        row.paste(panel, (x, 0))
        x += panel.width + gap
    return row


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    if height == picture.height:
        return picture
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS)


def _text_size(height: int) -> int:
    return max(11, height // 28)


def _shortened(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while line and text_width(line, font) > width:
        line = line[:-2].rstrip("…") + "…" if len(line) > 2 else ""
    return line
