"""Networks from elsewhere as runs and bundles: `import_model`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lucency.errors import UsageError
from lucency.importing.imported import CLASSES, Imported, ImportOptions
from lucency.importing.network_file import FORMATS, import_network

__all__ = ["ImportOptions", "Imported", "import_model"]


def import_model(path: Path | str, out: Path | str, classes: Sequence[str] = CLASSES, **options: Any) -> Imported:
    """Write a network from elsewhere as a run (Keras, needs lucency[keras]) or a bundle (.onnx, .tflite).

    Args:
        path: a whole Keras model, `.h5` or `.keras`; `.onnx` or `.tflite`, told by the suffix.
        out: folder of the run.
        classes: names of the outputs in their order; of one sigmoid unit (0, 1).
        options: further fields of `ImportOptions`.

    Raises:
        WeightsError: no such file, broken, or with what is not supported.
        UsageError: classes that do not fit the outputs, no range and no films, or an activation of Keras.
        OutputError: `out` holds a run, or cannot be written.
    """
    chosen = ImportOptions(tuple(classes), **options)
    if Path(path).suffix.lower() in FORMATS:
        return import_network(Path(path), Path(out), chosen)
    if chosen.activation is not None:
        raise UsageError(f"--activation {chosen.activation}: a Keras file says its own; leave it out")
    from lucency.importing.keras_importer import import_keras

    return import_keras(Path(path), Path(out), chosen)
