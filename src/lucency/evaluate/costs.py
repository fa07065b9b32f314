"""Costs of errors: the class of least expected cost is called, in place of the most probable one.

    expected cost of calling j = sum over i of P(i) · cost(true i, called j)        Elkan 2001, The foundations of
                                                                                    cost-sensitive learning, eq. 1
    expected cost of referring = sum over i of P(i) · refer(true i)

A film is referred where that costs less than any call.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lucency.arrays import Bools, Floats, Ints
from lucency.errors import UsageError

REFER = "refer"
"""The column of what referring costs."""
MAX_BYTES = 1 << 20
MAX_COST = 1e9


class Costs(Protocol):
    """What the functions below need: the table of a card."""

    @property
    def called(self) -> tuple[tuple[float, ...], ...]:
        """K rows, true, of k costs, called."""

    @property
    def refer(self) -> tuple[float, ...]:
        """K costs of referring a film of each class; empty: costs refer none."""


def expected_costs(costs: Costs, probabilities: NDArray[np.floating]) -> Floats:
    """Probabilities (n, k) → the expected cost of calling each class, float64 (n, k)."""
    return np.asarray(np.asarray(probabilities, dtype=np.float64) @ np.array(costs.called))


def least_cost(costs: Costs, probabilities: NDArray[np.floating]) -> Ints:
    """The class of least expected cost, (n,); the first of equals."""
    return np.asarray(expected_costs(costs, probabilities).argmin(axis=1), dtype=np.int64)


def refers(costs: Costs, probabilities: NDArray[np.floating]) -> Bools:
    """Whether referring costs less than any call, (n,)."""
    if not costs.refer:
        return np.zeros(len(probabilities), dtype=np.bool_)
    referring = np.asarray(probabilities, dtype=np.float64) @ np.array(costs.refer)
    return np.asarray(referring < expected_costs(costs, probabilities).min(axis=1))


def costs_paid(costs: Costs, labels: Ints, called: Ints, answered: Bools | None) -> Floats:
    """What each film cost, (n,): of its call, or of referring it where that has a cost and it was not answered."""
    paid = np.array(costs.called)[labels, called]
    if answered is None or not costs.refer:
        return np.asarray(paid)
    return np.where(answered, paid, np.array(costs.refer)[labels])


def read_costs(path: Path, labels: tuple[str, ...]) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Costs in a CSV file: a row for each true class, a column for each called one, and perhaps `refer`.

        true,nv,mel,refer
        nv,0,1,0.5
        mel,20,0,2

    Returns:
        The k × k costs in the order of `labels`, and the k of referring, or none.

    Raises:
        UsageError: a class is missing or unknown, or a cost is no number from 0 to 1e9.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream.read(MAX_BYTES).splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: expected costs as CSV, cannot read it ({error})") from error
    head = [name.strip().casefold() for name in rows[0][1:]] if rows else []
    table = {row[0].strip().casefold(): [cell.strip() for cell in row[1:]] for row in rows[1:] if any(row)}
    wanted = [label.casefold() for label in labels]
    known = [*wanted, REFER] if REFER in head else wanted
    whole = sorted(head) == sorted(known) and sorted(table) == sorted(wanted)
    if not whole or any(len(row) != len(head) for row in table.values()):
        raise UsageError(f"{path}: expected a row and a column for each of {', '.join(labels)}, and perhaps '{REFER}'")
    ordered = [[_cost(path, table[true][head.index(called)]) for called in known] for true in wanted]
    called = tuple(tuple(row[: len(labels)]) for row in ordered)
    return called, tuple(row[-1] for row in ordered) if REFER in head else ()


def _cost(path: Path, text: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = math.nan
    if not 0 <= cost <= MAX_COST:
        raise UsageError(f"{path}: expected a cost from 0 to {MAX_COST:g}, received '{text}'")
    return cost
