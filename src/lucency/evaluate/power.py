"""What difference so many films can show, so that "no difference" is not read out of too few.

Each is the difference that a two-sided test at 5 % finds in four of five studies of this size.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

ALPHA, POWER = 0.05, 0.80
NORMAL = NormalDist()
TEST = NORMAL.inv_cdf(1 - ALPHA / 2)
FIND = NORMAL.inv_cdf(POWER)


def detectable(error: float) -> float:
    """Smallest difference that is found, given its standard error: (z_test + z_find) error.

    >>> round(detectable(0.01), 4)
    0.028
    """
    return (TEST + FIND) * error


def detectable_against_a_like(error: float, correlation: float = 0.5) -> float:
    """Smallest difference in area to another reader of the same films that is about as good.

    Args:
        error: standard error of one reader's area.
        correlation: of the two areas; 0.5 is usual for readers of the same films (Hanley & McNeil 1983).
    """
    return detectable(error * float(np.sqrt(2 * (1 - correlation))))


def detectable_share(films: float, differing: float) -> float | None:
    """Smallest difference in shares right that McNemar's test finds (Connor 1987, eq. 3).

        films d² = (z_test √ψ + z_find √(ψ - d²))²

    Args:
        films: independent ones; fewer than there are where patients have several.
        differing: ψ, the share of films on which just one of the readers is right.

    Returns:
        d, or None where even the largest possible, ψ, would not be found.
    """
    if not 0 < differing <= 1 or not _found(differing, films, differing):
        return None
    low, high = 0.0, differing
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _found(middle, films, differing) else (middle, high)
    return high


def _found(difference: float, films: float, differing: float) -> bool:
    needed = TEST * np.sqrt(differing) + FIND * np.sqrt(max(differing - difference**2, 0.0))
    return bool(films * difference**2 >= needed**2)
