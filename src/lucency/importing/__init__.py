"""Networks from elsewhere as runs and bundles: `import_model`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucency.errors import UsageError
from lucency.importing.imported import CLASSES, Imported
from lucency.importing.network_file import FORMATS, import_network

if TYPE_CHECKING:
    from lucency.data import Dataset
    from lucency.preprocess import ResizeMode

__all__ = ["Imported", "import_model"]


def import_model(
    path: Path | str,
    out: Path | str,
    classes: Sequence[str] = CLASSES,
    *,
    pixel_range: str | None = None,
    resize_mode: ResizeMode | None = None,
    image_size: int | None = None,
    films: Dataset | None = None,
    finding: str | None = None,
    activation: str | None = None,
    replace: bool = False,
) -> Imported:
    """Write a network from elsewhere as a run (Keras, needs lucency[keras]) or a bundle (.onnx, .tflite).

    Args:
        path: a whole Keras model, `.h5` or `.keras`; `.onnx` or `.tflite`, told by the suffix.
        out: folder of the run.
        classes: names of the outputs in their order; of one sigmoid unit (0, 1).
        pixel_range: a row of RANGES; None where a Keras network rescales by itself, or with `films`.
        resize_mode: stretch, crop or pad; stretch by default, or chosen by `films`.
        image_size: of the input, where the file leaves it open.
        films: labelled; every combination left open is tried on them.
        finding: the class that is the finding, where the names do not tell.
        activation: that a .onnx or .tflite network ends in; by default found by its answers to noise.
        replace: write over a run that is there.

    Raises:
        WeightsError: no such file, broken, or with what is not supported.
        UsageError: classes that do not fit the outputs, no range and no films, or an activation of Keras.
        OutputError: `out` holds a run, or cannot be written.
    """
    given: dict[str, Any] = {
        "pixel_range": pixel_range,
        "resize_mode": resize_mode,
        "image_size": image_size,
        "films": films,
        "finding": finding,
        "replace": replace,
    }
    if Path(path).suffix.lower() in FORMATS:
        return import_network(Path(path), Path(out), classes, activation=activation, **given)
    if activation is not None:
        raise UsageError(f"--activation {activation}: a Keras file says its own; leave it out")
    from lucency.importing.keras_importer import import_keras

    return import_keras(Path(path), Path(out), classes, **given)
