"""Copies of a function that serves one call at a time, shared between threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lucency.bundle import Card, Model
from lucency.reader.engines import NO_DOUBT, One, Row, interpreter_pool
from lucency.reader.outputs import Squares

CARD = Card(name="x", labels=("a", "b"), model=Model(format="onnx", file="m", backbone="none"))


class Maker:
    """Makes functions that answer with the film's first pixel, and notes who was called how."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.overlaps = 0
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, inside: int) -> One:
        self.made.append(inside)
        busy = threading.Lock()

        def one(square: Squares) -> Row:
            if not busy.acquire(blocking=False):
                self.overlaps += 1
                raise AssertionError("two calls on one copy")
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            if square[0, 0] == 255:
                self._leave(busy)
                raise RuntimeError("this film breaks the network")
            threading.Event().wait(0.002)
            self._leave(busy)
            value = np.array([square[0, 0]], dtype=np.float32)
            return value, value.reshape(1, 1, 1), NO_DOUBT

        return one

    def _leave(self, busy: threading.Lock) -> None:
        with self._lock:
            self._now -= 1
        busy.release()


def films(*values: int) -> Squares:
    return np.array(values, dtype=np.uint8)[:, None, None]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_films_keep_their_order(threads: int) -> None:
    make = Maker()
    answers = interpreter_pool(CARD, make, threads).batch(films(*range(40)))
    assert answers.logits[:, 0].tolist() == list(range(40))
    assert make.most <= threads


def test_one_copy_is_made_to_begin_with_and_others_when_needed() -> None:
    make = Maker()
    engine = interpreter_pool(CARD, make, 3)
    assert make.made == [1]
    engine.batch(films(7))
    assert make.made == [1, 3]  # threads inside the film for a single one
    engine.batch(films(*range(30)))
    assert sorted(make.made) == [1, 1, 1, 3]


def test_one_thread_is_one_copy() -> None:
    make = Maker()
    engine = interpreter_pool(CARD, make, 1)
    engine.batch(films(1))
    engine.batch(films(1, 2, 3))
    engine.submit(films(1, 2))
    assert make.made == [1]


def test_any_thread_may_call() -> None:
    make = Maker()
    engine = interpreter_pool(CARD, make, 2)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda value: float(engine.submit(films(value)).logits[0, 0]), range(60)))
    assert found == list(range(60))
    assert (make.overlaps, make.most) == (0, 2)


def test_a_film_that_fails_takes_no_copy_with_it() -> None:
    engine = interpreter_pool(CARD, Maker(), 1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="breaks the network"):
            engine.batch(films(255))
    assert engine.batch(films(9)).logits.tolist() == [[9.0]]


def test_a_network_that_cannot_be_made_shows_at_once() -> None:
    def make(inside: int) -> One:
        raise ValueError("broken file")

    with pytest.raises(ValueError, match="broken file"):
        interpreter_pool(CARD, make, 2)
