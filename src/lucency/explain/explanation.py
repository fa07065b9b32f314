"""A map of one film by one explainer, as a picture, as HTML and as a figure; and explainers bound to a reader.

A run has every row of the table; an exported bundle its own map and occlusion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency import NOTICE
from lucency.arrays import Floats32
from lucency.errors import ExplainError, UsageError, name_extra
from lucency.explain import BoundExplainer
from lucency.files import write_bytes
from lucency.film import Film
from lucency.html import data_url, notebook_block
from lucency.paint import Legend, png
from lucency.paint.sheets import side_by_side
from lucency.preprocess import Preprocess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lucency.models import Classifier
    from lucency.reader import Reader


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


Map = NDArray[np.float32]
Gray = NDArray[np.uint8]
Explain = Callable[[Gray, int], Map]
"""(a film's square uint8 (s, s), which finding) → map float32 (h, w)."""

WITHOUT_PYTORCH = ("cam", "occlusion")
"""The explainers of an exported bundle."""


def bind(reader: Reader, method: str, *, opposite: bool = False, layer: str | None = None) -> BoundExplainer:
    """Bind the explainer called `method` to a reader.

    Args:
        reader: an open run or bundle.
        method: a row of EXPLAINERS; for a bundle one of WITHOUT_PYTORCH.
        opposite: show evidence against the finding, such as for `normal`.
        layer: for methods with a choice of layer; None is the method's default.

    Raises:
        ExplainError: no such method or layer, or the bundle does not support it.
    """
    if reader.card.model.format == "torch":
        return _on_network(_classifier(reader), method, opposite, layer)
    if method not in WITHOUT_PYTORCH or layer is not None:
        what = f"method {method}" if layer is None else f"layer '{layer}'"
        raise ExplainError(
            f"{reader.bundle.path}: an exported bundle supports {' and '.join(WITHOUT_PYTORCH)}, received {what}; "
            "explain the run that it was exported from"
        )
    if method == "cam" and not reader.has_map:
        raise ExplainError(f"{reader.bundle.path}: this network gives no map of its own; use --method occlusion")
    return BoundExplainer(method, _own_map(reader, opposite) if method == "cam" else _occlusion(reader, opposite))


def methods(reader: Reader) -> tuple[str, ...]:
    """The explainers that this reader supports."""
    if reader.card.model.format != "torch":
        return WITHOUT_PYTORCH if reader.has_map else WITHOUT_PYTORCH[1:]
    from lucency.explain.table import EXPLAINERS

    return tuple(EXPLAINERS)


def label_index(reader: Reader, finding: str | None) -> int | None:
    """The logit of the label `finding`; None without a label.

    Raises:
        UsageError: there is no such label.
    """
    if finding is None:
        return None
    labels = reader.card.labels[1:] if reader.card.task == "binary" else reader.card.labels
    known = [label.lower() for label in labels]
    if finding.lower() not in known:
        raise UsageError(f"--finding: expected {' or '.join(labels)}, got '{finding}'")
    return known.index(finding.lower())


def evidence_for(reader: Reader, index: int, opposite: bool) -> str:
    """What bright yellow speaks for, in the card's words."""
    card = reader.card
    if card.task == "binary":
        return card.labels[0 if opposite else 1]
    return f"not {card.labels[index]}" if opposite else card.labels[index]


def layer_lines(reader: Reader) -> list[str]:
    """The layers of a run that a map can be drawn from, one line each.

    Raises:
        ExplainError: an exported bundle, which has no layers to choose from.
    """
    if reader.card.model.format != "torch":
        raise ExplainError(f"{reader.bundle.path}: an exported bundle has no layers to choose from; use its run")
    from lucency.explain.network import layers

    found = layers(_classifier(reader), reader.preprocess.image_size)
    return [f"{name:32}{k:>5} maps of {h} × {w}" for name, (k, h, w) in found.items()]


def _on_network(classifier: Classifier, method: str, opposite: bool, layer: str | None) -> BoundExplainer:
    import difflib

    from lucency.explain.network import layer as known_layer
    from lucency.explain.table import EXPLAINERS

    if method not in EXPLAINERS:
        near = difflib.get_close_matches(method, EXPLAINERS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(EXPLAINERS)}"
        raise ExplainError(f"unknown method '{method}'; {hint}")
    row = EXPLAINERS[method]
    options: dict[str, object] = {"opposite": opposite}
    if layer is not None:
        if not row.layered:
            able = ", ".join(name for name, other in EXPLAINERS.items() if other.layered)
            raise ExplainError(f"{method} has no choice of layer; {able} have")
        known_layer(classifier, layer)
        options["layer_name"] = layer

    def on(network: Classifier, gray: Gray, finding: int) -> Map:
        return row.explain(network, gray, finding, **options)

    return BoundExplainer(
        method, lambda gray, finding: on(classifier, gray, finding), row.unit, row.limit, row.mark, on
    )


def _own_map(reader: Reader, opposite: bool) -> Explain:
    sign = np.float32(-1 if opposite else 1)

    def explain(gray: Gray, finding: int) -> Map:
        found = reader.read_batch(gray[None]).maps[0, finding]
        if not np.isfinite(found).all():
            raise ExplainError("the map is not finite; the bundle's weights are broken: export it again")
        return np.asarray(sign * found)

    return explain


def _occlusion(reader: Reader, opposite: bool) -> Explain:
    from lucency.explain.occlusion import occlude

    def explain(gray: Gray, finding: int) -> Map:
        return occlude(lambda films: reader.read_batch(films).logits, gray, finding, opposite=opposite)

    return explain


def _classifier(reader: Reader) -> Classifier:
    from lucency.models.run import load_run

    return load_run(reader.bundle).classifier
