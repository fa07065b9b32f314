from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from lucency.bundle import Bundle
from lucency.errors import UsageError
from lucency.score.engines import RAY_TIMEOUTS, on_ray


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the environment variables that the code sets for Ray."""
    for name in RAY_TIMEOUTS:
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)


def error_of(bundle: Bundle) -> str:
    with pytest.raises(UsageError) as refused:
        list(on_ray(iter([["a.png"]]), bundle, 1))
    return str(refused.value)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """A Ray that prints and fails to start; nothing of it may be printed."""
    ray = pytest.importorskip("ray", reason="needs lucency[ray]")

    def init(**_: object) -> None:
        os.write(2, b"W rpc_client.h: Failed to connect\n")
        raise Exception("The current node timed out during startup.\nMore words.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("silent")
def test_ray_that_fails_to_start(bundle: Bundle) -> None:
    words = error_of(bundle)
    assert words.startswith("expected Ray to start here")
    assert words.endswith("startup); try again, or --engine local")


def test_without_an_address_a_local_ray_is_started(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs lucency[ray]")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def init(**given: object) -> None:
        raise Exception(f"asked for {given['address']}")  # without one Ray looks for what is there, and stale files

    monkeypatch.setattr(ray, "init", init)
    assert "(asked for local)" in error_of(bundle)


@pytest.mark.usefixtures("silent")
def test_an_address_that_is_not_ray(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert error_of(bundle).startswith(f"expected a Ray cluster at {address}, cannot join it (The current node")
    assert {name: os.environ[name] for name in RAY_TIMEOUTS} == RAY_TIMEOUTS


def test_a_missing_token_is_explained(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="needs lucency[ray]")

    def init(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster")

    monkeypatch.setattr(ray, "init", init)
    with socket.create_server(("127.0.0.1", 0)) as cluster:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{cluster.getsockname()[1]}")
        assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN if it requires a token" in error_of(bundle)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_without_a_listener(scheme: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # a port that nobody else can take meanwhile
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"{scheme}127.0.0.1:{bound.getsockname()[1]}")
        monkeypatch.setitem(sys.modules, "ray", None)
        assert "cannot join it (Connection refused); start it with" in error_of(bundle)


def test_without_films_ray_is_not_started(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(on_ray(iter([]), bundle, 1)) == []
