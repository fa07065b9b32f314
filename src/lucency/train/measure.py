"""The figures watched while fitting: of the whole epoch at once, at threshold 0.5 where one is needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lucency.evaluate.metrics import auroc


def measure(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, precision, recall and AUROC; averaged over the classes where there are several (macro).

    Args:
        logits: float (n, 1) for one finding, else (n, classes).
        labels: int (n,), or (n, classes) of 0 and 1 for a multilabel task.

    Returns:
        name -> value. A precision or recall with nothing to divide by counts as 0, an AUROC with one class only as 0.5.
    """
    truth, called, scores = _columns(logits, labels)
    hits = (truth & called).sum(axis=0)
    return {
        "accuracy": float(
            (truth == called).mean()
            if labels.ndim == 2 or logits.shape[1] == 1
            else (logits.argmax(axis=1) == labels).mean()
        ),
        "precision": float(np.mean(hits / np.maximum(called.sum(axis=0), 1))),
        "recall": float(np.mean(hits / np.maximum(truth.sum(axis=0), 1))),
        "auroc": float(np.mean([_auroc(truth[:, k], scores[:, k]) for k in range(truth.shape[1])])),
    }


def _columns(
    logits: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """Truth, verdict and score, one column per finding."""
    if labels.ndim == 2:
        return labels.astype(bool), logits > 0, logits
    if logits.shape[1] == 1:
        return labels[:, None] == 1, logits > 0, logits
    classes = np.arange(logits.shape[1])
    rest = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)  # log-probabilities compare between films
    return labels[:, None] == classes, logits.argmax(axis=1)[:, None] == classes, rest


def _auroc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    return float(auroc(truth, scores)) if 0 < truth.sum() < len(truth) else 0.5
