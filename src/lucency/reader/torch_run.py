"""The PyTorch engine: reads a run before it is exported. Needs lucency[train]; nothing else in the reader does."""

from __future__ import annotations

import numpy as np

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.reader.answers import Answers, Engine, Squares, calibrated

CHUNK = 32
"""Films per forward pass: more only costs memory."""


def open_torch(bundle: Bundle, threads: int) -> Engine:
    """The engine of a run. PyTorch's own number of threads is left as it is found.

    Raises:
        BundleError: PyTorch is not installed, or the weights do not fit the card.
    """
    try:
        import torch

        from lucency.models.folded import folded
        from lucency.models.gate import load_gate
        from lucency.models.memory import keep_freed_memory
        from lucency.models.run import load_run
    except ImportError as error:
        raise BundleError(
            f"{bundle.path}: a run needs PyTorch; pip install 'lucency[train]', or read the bundle exported from it"
        ) from error
    keep_freed_memory()
    run = load_run(bundle)
    classifier = folded(run.classifier).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    gate = load_gate(bundle)

    def answer(squares: Squares) -> Answers:
        parts = []
        for start in range(0, len(squares), CHUNK):
            with torch.inference_mode():
                films = torch.from_numpy(squares[start : start + CHUNK, None].astype(np.float32))
                logits, maps, pooled = classifier.answers(films)
                doubts = films.new_zeros(len(films), 0) if gate is None else gate(films, pooled)
                answers = (logits, maps, doubts)
                parts.append([part.numpy() for part in answers])
        logits, maps, doubts = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Answers(logits, calibrated(bundle.card, logits), maps, doubts)

    return Engine(batch=answer, aside=answer)
