"""Insertion and deletion: take away what the map calls evidence, and see whether the reader minds.

Petsiuk et al. 2018 (RISE), section 4.1. Deletion covers the film from the strongest evidence on and a faithful map
makes the probability fall early: a small area is good. Insertion starts from the blurred film and brings the strongest
evidence back first: a large area is good. Where they cover with black, we cover with the film's own mean, which is
less of a surprise to the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lucency.errors import ExplainError
from lucency.explain.faith.place import Map, drawn

Gray = NDArray[np.uint8]
Floats = NDArray[np.float64]
Probability = Callable[[Gray], NDArray[np.floating]]
"""Films uint8 (n, s, s) → probability of the finding, (n,)."""

STEPS = 20
"""Each step covers or uncovers a twentieth of the film."""
BLUR = 1 / 16
"""Standard deviation of the blur that insertion starts from, as a share of the side."""


@dataclass(frozen=True)
class Curves:
    """The probability of the finding after 0, 1, … STEPS steps, each (STEPS + 1,)."""

    deletion: Floats
    insertion: Floats

    @property
    def deleted(self) -> float:
        """Area under the deletion curve, 0 to 1: small is faithful."""
        return area(self.deletion)

    @property
    def inserted(self) -> float:
        """Area under the insertion curve, 0 to 1: large is faithful."""
        return area(self.insertion)


def curves(read: Probability, gray: Gray, evidence: Map, seed: int = 0) -> Curves:
    """Both curves of one film.

    Args:
        read: gives the probability of the finding.
        gray: uint8 (s, s), the film as the network sees it.
        evidence: its map.
        seed: pixels of equal evidence follow each other in an order drawn from it.

    Raises:
        ExplainError: the reader's answer is not a number.
    """
    order = ranking(drawn(evidence, gray.shape[0]), seed)
    blank = np.full_like(gray, round(float(gray.mean())))
    blurred = ndimage.gaussian_filter(gray, BLUR * gray.shape[0])
    found = read(np.concatenate([_steps(gray, blank, order), _steps(blurred, gray, order)])).astype(np.float64)
    if not np.isfinite(found).all():
        raise ExplainError("the network's answer is not a number; its weights are broken: get or train it again")
    return Curves(found[: STEPS + 1], found[STEPS + 1 :])


def ranking(evidence: Map, seed: int) -> NDArray[np.int64]:
    """Pixels from the strongest evidence for to the strongest against, int64 (s · s,); ties in random order."""
    chance = np.random.default_rng(seed).random(evidence.size)
    return np.lexsort((chance, -evidence.ravel()))


def area(curve: Floats) -> float:
    """Area under a curve over equal steps of 0..1, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def _steps(start: Gray, goal: Gray, order: NDArray[np.int64]) -> Gray:
    """The film after each step from `start` to `goal`: uint8 (STEPS + 1, s, s)."""
    films = np.repeat(start[None], STEPS + 1, axis=0).reshape(STEPS + 1, -1)
    for step in range(1, STEPS + 1):
        changed = order[: round(len(order) * step / STEPS)]
        films[step, changed] = goal.ravel()[changed]
    return films.reshape(STEPS + 1, *start.shape)
