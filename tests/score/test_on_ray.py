from __future__ import annotations

import sys

import pytest

from lucency.bundle import Bundle
from lucency.errors import UsageError
from lucency.score.on_ray import on_ray


@pytest.mark.parametrize(
    ("address", "expected"),
    [(None, "expected Ray to start here"), ("head:6379", "expected a Ray cluster at head:6379")],
)
def test_a_ray_that_does_not_answer(
    address: str | None, expected: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="needs lucency[ray]")

    def silent(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nMore words.")

    monkeypatch.setattr(ray, "init", silent)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError) as told:
        list(on_ray(iter([["a.png"]]), bundle, 1))
    assert str(told.value).startswith(expected)
    assert str(told.value).endswith("startup.); try again, or --engine local")


def test_without_films_ray_is_not_started(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(on_ray(iter([]), bundle, 1)) == []
