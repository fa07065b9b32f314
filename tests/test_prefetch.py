from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lucency.prefetch import prefetch


def test_results_are_in_order() -> None:
    assert list(prefetch(lambda number: number * 10, range(50), threads=4, in_flight=8)) == [n * 10 for n in range(50)]


def test_at_most_in_flight_items_are_taken_early() -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    for place, _ in enumerate(prefetch(lambda number: number, items(), threads=2, in_flight=5)):
        assert len(taken) <= place + 1 + 5
    assert len(taken) == 100


def test_an_error_is_raised_at_its_item() -> None:
    results = prefetch(lambda number: 1 // number, [2, 1, 0, 3], threads=2, in_flight=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_early_does_not_wait() -> None:
    held = threading.Event()
    results = prefetch(lambda number: number and held.wait(30), range(3), threads=2, in_flight=3)
    next(results)
    results.close()  # would take 30 seconds if it waited for what is in work
    held.set()
