"""Dirichlet calibration of several classes: a matrix on the log of the softmax.

    calibrated logit_i = sum over j of matrix_ij · ln p_j + offset_i,   p = softmax(z)

Kull et al. 2019, Beyond temperature scaling (arXiv:1910.12656), the linear form, with their off-diagonal and intercept
regularisation (ODIR). It corrects what vector scaling cannot: one class that is taken for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lucency.arrays import Bools, Floats, Ints

STRENGTHS = (1.0, 10.0, 100.0)
"""Films' worth of evidence that a number off the diagonal is 0; cross-validation by patient chooses one."""
FOLDS = 3
ROUNDS = 300
"""Iterations of the optimiser, at most."""
Start = Callable[[Floats, Bools], Mapping[str, tuple[float, ...]]]


def log_softmax(logits: Floats) -> Floats:
    """Log of the softmax over the last axis, shaped as `logits`."""
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))


def apply_dirichlet(logits: Floats, lists: Mapping[str, Floats]) -> Floats:
    """Logits (n, k) → calibrated logits (n, k), by `matrix` (k · k, row by row) and `offset` (k)."""
    k = logits.shape[-1]
    return np.asarray(log_softmax(logits) @ lists["matrix"].reshape(k, k).T + lists["offset"])


def fit_dirichlet(
    logits: Floats, truth: Bools, groups: Ints, start: Start, target: Callable[[Bools], Floats], pull: float
) -> dict[str, tuple[float, ...]]:
    """Fit matrix and offset by log loss.

    Args:
        logits: (n, k).
        truth: (n, k), one True a row.
        groups: (n,), the same number for films of one patient.
        start: fits vector scaling, whose `slope` and `offset` the diagonal and the offset are drawn to.
        target: the truth → what the log loss compares with.
        pull: films' worth of evidence that diagonal and offset are those of `start`.
    """
    held_loss = dict.fromkeys(STRENGTHS, 0.0)
    fold = np.random.default_rng(0).permutation(int(groups.max()) + 1)[groups] % FOLDS
    for number in range(FOLDS):
        rest, held = fold != number, fold == number
        if not held.any() or not truth[rest].any(axis=0).all():
            continue
        here = start(logits[rest], truth[rest])
        for strength in STRENGTHS:
            found = _fit(logits[rest], target(truth[rest]), here, pull, strength)
            calibrated = log_softmax(apply_dirichlet(logits[held], found))
            held_loss[strength] -= float(calibrated[truth[held]].sum())
    strength = min(STRENGTHS[::-1], key=held_loss.__getitem__)  # the strongest where nothing tells
    found = _fit(logits, target(truth), start(logits, truth), pull, strength)
    return {name: tuple(values.ravel().tolist()) for name, values in found.items()}


def _fit(
    logits: Floats, target: Floats, start: Mapping[str, tuple[float, ...]], pull: float, strength: float
) -> dict[str, Floats]:
    from scipy.optimize import minimize

    logs, (n, k) = log_softmax(logits), logits.shape
    first = np.concatenate([np.diag(start["slope"]).ravel(), np.asarray(start["offset"])])
    weight = np.concatenate([np.where(np.eye(k, dtype=bool), pull, strength).ravel(), np.full(k, pull)])

    def loss(numbers: Floats) -> tuple[float, Floats]:
        z = logs @ numbers[: k * k].reshape(k, k).T + numbers[k * k :]
        spread = np.logaddexp.reduce(z, axis=1, keepdims=True)
        error, away = np.exp(z - spread) - target, numbers - first
        gradient = np.concatenate([(error.T @ logs).ravel(), error.sum(axis=0)]) + 2 * weight * away
        return float(spread.sum() - (target * z).sum() + weight @ away**2) / n, gradient / n

    best = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS, "ftol": 1e-11})
    return {"matrix": best.x[: k * k].reshape(k, k), "offset": best.x[k * k :]}
