"""Networks from elsewhere as runs and bundles: `import_model`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lucency.errors import UsageError
from lucency.importing.imported import CLASSES, Imported, ImportOptions, read_model
from lucency.importing.network_file import FORMATS, convert, import_network, is_saved_model

__all__ = ["ImportOptions", "Imported", "import_model"]


def import_model(path: Path | str, out: Path | str, classes: Sequence[str] = CLASSES, **options: Any) -> Imported:
    """Write a network from elsewhere as a run (Keras, needs lucency[keras]) or a bundle (.onnx, .tflite).

    Args:
        path: a whole Keras model, `.h5` or `.keras`; `.onnx` or `.tflite`, told by the suffix; a SavedModel, which
            needs TensorFlow.
        out: folder of the run.
        classes: names of the outputs in their order; of one sigmoid unit (0, 1).
        options: further fields of `ImportOptions`.

    Raises:
        WeightsError: no such file, broken, or with what is not supported.
        UsageError: classes that do not fit the outputs, no range and no films, or an activation of Keras.
        ExtraError: a SavedModel, and no TensorFlow.
        OutputError: `out` holds a run, or cannot be written.
    """
    chosen, source = ImportOptions(tuple(classes), **options), Path(path)
    if not is_saved_model(source):
        return _import(source, read_model(source), source.suffix.lower(), Path(out), chosen)
    content, suffix = convert(source, chosen.tensorflow)
    imported = _import(source, content, suffix, Path(out), chosen)
    return replace(imported, says=(f"SavedModel, read as {suffix}", *imported.says))


def _import(path: Path, content: bytes, suffix: str, out: Path, chosen: ImportOptions) -> Imported:
    if suffix in FORMATS:
        return import_network(path, content, FORMATS[suffix], out, chosen)
    if chosen.activation is not None:
        raise UsageError(f"--activation {chosen.activation}: a Keras file says its own; leave it out")
    from lucency.importing.keras_importer import import_keras

    return import_keras(path, content, out, chosen)
