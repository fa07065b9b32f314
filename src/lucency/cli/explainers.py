"""A reader asked for its reasons: every explainer on a run, and the two that need no PyTorch on an exported bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lucency.errors import ExplainError, UsageError
from lucency.paint import LIMIT

if TYPE_CHECKING:
    from lucency.models import Classifier
    from lucency.reader import Reader

Map = NDArray[np.float32]
Gray = NDArray[np.uint8]
Explain = Callable[[Gray, int], Map]
"""(a film's square uint8 (s, s), which finding) → map float32 (h, w)."""

WITHOUT_PYTORCH = ("cam", "occlusion")
"""What an exported bundle answers: its own second output, and being read again with parts covered."""


@dataclass(frozen=True)
class BoundExplainer:
    """One explainer, bound to one reader."""

    method: str
    explain: Explain
    unit: str = "logits"
    limit: float = LIMIT
    """Where the colour scale ends, in `unit`."""
    mark: str = ""
    """A doubt to show wherever a map of this method is shown."""
    on: Callable[[Classifier, Gray, int], Map] | None = None
    """The same explainer on any network; None for an exported bundle."""


def asked(reader: Reader, method: str, *, opposite: bool = False, layer: str | None = None) -> BoundExplainer:
    """The explainer called `method` on this reader.

    Args:
        reader: an open run or bundle.
        method: a row of EXPLAINERS; for a bundle one of WITHOUT_PYTORCH.
        opposite: ask for the evidence against the finding, such as for `normal`.
        layer: which layer's maps are drawn, for the methods that can choose; None is the method's own.

    Raises:
        ExplainError: no such method or layer, or the bundle cannot answer by it.
    """
    if reader.card.model.format == "torch":
        return _on_network(_classifier(reader), method, opposite, layer)
    if method not in WITHOUT_PYTORCH or layer is not None:
        what = f"method {method}" if layer is None else f"layer '{layer}'"
        raise ExplainError(
            f"{reader.bundle.path}: an exported bundle answers by {' and '.join(WITHOUT_PYTORCH)}, came {what}; "
            "ask the run that it was exported from"
        )
    return BoundExplainer(method, _own_map(reader, opposite) if method == "cam" else _occlusion(reader, opposite))


def methods(reader: Reader) -> tuple[str, ...]:
    """The explainers that this reader can be asked by."""
    if reader.card.model.format != "torch":
        return WITHOUT_PYTORCH
    from lucency.explain.table import EXPLAINERS

    return tuple(EXPLAINERS)


def label_index(reader: Reader, finding: str | None) -> int | None:
    """Which logit answers for the label `finding`; None where none is named.

    Raises:
        UsageError: none does.
    """
    if finding is None:
        return None
    labels = reader.card.labels[1:] if reader.card.task == "binary" else reader.card.labels
    known = [label.lower() for label in labels]
    if finding.lower() not in known:
        raise UsageError(f"--finding: expected {' or '.join(labels)}, got '{finding}'")
    return known.index(finding.lower())


def layer_lines(reader: Reader) -> list[str]:
    """The layers of a run that a map can be drawn from, one line each.

    Raises:
        ExplainError: an exported bundle, whose layers are sealed.
    """
    if reader.card.model.format != "torch":
        raise ExplainError(f"{reader.bundle.path}: the layers of an exported bundle are sealed; ask its run")
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
            raise ExplainError(
                "the map holds values that are not numbers; the bundle's weights are broken: export again"
            )
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
