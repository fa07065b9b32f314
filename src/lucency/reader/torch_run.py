"""The PyTorch engine: reads a run before it is exported. Needs lucency[train]; nothing else in the reader does."""

from __future__ import annotations

import numpy as np

from lucency.bundle import Bundle, Calibration
from lucency.errors import BundleError
from lucency.reader.answers import Answers, Engine, Floats, Squares

CHUNK = 32
"""Films per forward pass: more only costs memory."""


def open_torch(bundle: Bundle, threads: int) -> Engine:
    """The engine of a run. PyTorch's own number of threads is left as it is found.

    Raises:
        BundleError: PyTorch is not installed, or the weights do not fit the card.
    """
    try:
        import torch

        from lucency.models.memory import keep_freed_memory
        from lucency.models.run import load_run
    except ImportError as error:
        raise BundleError(
            f"{bundle.path}: a run needs PyTorch; pip install 'lucency[train]', or read the bundle exported from it"
        ) from error
    keep_freed_memory()
    run = load_run(bundle)
    classifier = run.classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def answer(squares: Squares) -> Answers:
        parts = []
        for start in range(0, len(squares), CHUNK):
            with torch.inference_mode():
                films = torch.from_numpy(squares[start : start + CHUNK, None].astype(np.float32))
                parts.append([part.numpy() for part in classifier.forward_map(films)])
        logits, maps = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Answers(logits, probabilities(logits, bundle.card.task, bundle.card.calibration), maps)

    return Engine(batch=answer, aside=answer)


def probabilities(logits: Floats, task: str, calibration: Calibration) -> Floats:
    """Logits (n, f) to calibrated probabilities (n, f)."""
    scores = logits.astype(np.float64)
    total = np.logaddexp.reduce(scores, axis=1, keepdims=True) if task == "multiclass" else np.logaddexp(0.0, scores)
    return np.asarray(np.exp(scores - total), dtype=np.float32)
