"""Occlusion: cover a patch, read again, record the drop of the logit. For any reader, without PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lucency.arrays import Floats, Pixels
from lucency.arrays import Floats32 as Map
from lucency.errors import ExplainError

Logits = Callable[[Pixels], Map]
"""uint8 (n, s, s) → float32 (n, findings)."""

PATCH, STRIDE = 1 / 7, 1 / 14
"""Side of the patch and step between patches, as shares of the film's side: 32 and 16 pixels at 224."""
BATCH = 16


def occlude(
    read: Logits,
    gray: Pixels,
    finding: int = 0,
    *,
    opposite: bool = False,
    patch: float = PATCH,
    stride: float = STRIDE,
    fill: int | None = None,
) -> Map:
    """The drop of the logit when each place is covered. Zeiler & Fergus 2014, section 4.2.

        M(i, j) = mean over the patches P that cover (i, j) of  logit(film) - logit(film with P filled)

    Args:
        read: gives logits, from a network or a bundle.
        gray: uint8 (s, s), in colour (s, s, 3).
        finding: which logit.
        opposite: explain the evidence against the finding.
        patch: side of the covering square, as a share of s.
        stride: step between squares, as a share of s.
        fill: gray level of the cover; without it the film's own mean, of each channel.

    Returns:
        float32 (c, c), drop in logits, one cell per stride.

    Raises:
        ExplainError: a logit is not a number.
    """
    side = gray.shape[0]
    step, wide = max(1, round(side * stride)), max(1, round(side * patch))
    corners = [(top, left) for top in _starts(side, wide, step) for left in _starts(side, wide, step)]
    level = np.rint(gray.mean(axis=(0, 1))) if fill is None else fill
    whole = _read(read, gray[None], finding)[0]
    lost = np.zeros((side, side))
    covers = np.zeros((side, side))
    for start in range(0, len(corners), BATCH):
        some = corners[start : start + BATCH]
        films = np.repeat(gray[None], len(some), axis=0)
        for film, (top, left) in zip(films, some, strict=True):
            film[top : top + wide, left : left + wide] = level
        for (top, left), logit in zip(some, _read(read, films, finding), strict=True):
            lost[top : top + wide, left : left + wide] += whole - logit
            covers[top : top + wide, left : left + wide] += 1
    evidence = _cells(lost / covers, step)
    return np.asarray(-evidence if opposite else evidence, dtype=np.float32)


def check_finding(findings: int, finding: int) -> None:
    """Refuse a finding that the network does not answer for.

    Raises:
        ExplainError: `finding` is not one of its logits.
    """
    if not 0 <= finding < findings:
        raise ExplainError(f"the network answers for {findings} finding(s), from 0; there is no number {finding}")


def _starts(side: int, wide: int, step: int) -> list[int]:
    """Where patches begin: every `step`, and once at the far edge, so that every pixel is covered."""
    return sorted({*range(0, side - wide + 1, step), max(side - wide, 0)})


def _read(read: Logits, films: Pixels, finding: int) -> Floats:
    logits = np.asarray(read(films), dtype=np.float64)
    check_finding(logits.shape[1], finding)
    if not np.isfinite(logits[:, finding]).all():
        raise ExplainError("the network's answer is not a number; its weights are broken: download or train it again")
    return logits[:, finding]


def _cells(values: Floats, step: int) -> Floats:
    """Means over squares of `step` pixels; the last row and column may be of fewer."""
    edges = np.arange(0, values.shape[0], step)
    counts = np.diff([*edges, values.shape[0]])
    sums = np.add.reduceat(np.add.reduceat(values, edges, axis=0), edges, axis=1)
    return np.asarray(sums / np.outer(counts, counts))
