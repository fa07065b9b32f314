"""A map of one film by one explainer, as a picture, as HTML for a notebook and as a matplotlib figure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from lucency import NOTICE
from lucency.arrays import Floats32
from lucency.errors import name_extra
from lucency.files import write_bytes
from lucency.film import Film
from lucency.html import data_url, notebook_block
from lucency.paint import Legend, png
from lucency.paint.sheets import side_by_side
from lucency.preprocess import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIGH = 320
"""Pixels along a film's height in a notebook."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Where a reader looked on one film, by one explainer."""

    method: str
    """A row of docs/explaining.md."""
    map: Floats32
    """float32 (h, w) over the square that the network saw, in `legend.unit`."""
    film: Film
    preprocess: Preprocess
    legend: Legend
    lungs: Floats32 | None = None
    """The lungs' outline as `lucency.paint.overlay` takes it; None for pictures that show none."""

    def picture(self, height: int | None = None) -> Image.Image:
        """Film, overlay, map and scale side by side; the film `height` pixels high, or its own size."""
        return side_by_side(self.film, self.map, self.preprocess, self.legend, height=height, lungs=self.lungs)

    def save(self, path: Path | str) -> None:
        """Write `picture()` as a PNG.

        Raises:
            OutputError: it cannot be written.
        """
        write_bytes(Path(path), png(self.picture()))

    def plot(self) -> Figure:
        """`picture()` as a matplotlib figure.

        Raises:
            ExtraError: matplotlib is not installed.
        """
        with name_extra():
            from matplotlib.figure import Figure

        picture = self.picture(2 * HIGH)
        drawn = Figure(figsize=(12, 12 * picture.height / picture.width), layout="constrained")
        axes = drawn.add_subplot()
        axes.imshow(picture)
        axes.axis("off")
        return drawn

    def __repr__(self) -> str:
        return f"<Explanation by {self.method}, {self.map.shape[0]} × {self.map.shape[1]} cells>"

    def _repr_html_(self) -> str:
        image = f'<img src="{data_url(self.picture(2 * HIGH))}" alt="film, overlay and map" style="width:100%">'
        mark = f'<div style="color:#8f1d00">{escape(self.legend.mark)}</div>' if self.legend.mark else ""
        foot = f'<div style="color:#5a5a5a;font-size:12px">{escape(NOTICE)}</div>'
        return notebook_block(self.method, image, mark, foot)
