"""What OpenAPI says is what it does: schemathesis, which is not ours, asks everything that it allows and more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .running import Server, running

CHECKS = ("--checks", "all", "--exclude-checks", "positive_data_acceptance,negative_data_rejection")
"""A schema cannot say which bytes are a film: any are allowed by it, and most are refused."""
CALM = ("--seed", "7", "--suppress-health-check", "all")
"""The same questions each time; a machine that does much else is slow, which says nothing of the server."""
TOKEN = "0123456789abcdef0123"


def asked(server: Server, folder: Path, examples: int, *more: str) -> None:
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs schemathesis")
    words = ("run", f"{server.address}/openapi.json", *CHECKS, "--max-examples", str(examples), *CALM, *more)
    printed = subprocess.run(
        [program, *words, "--no-color"], capture_output=True, text=True, cwd=folder, stdin=subprocess.DEVNULL
    )
    assert printed.returncode == 0, printed.stdout[-4000:]
    assert "5 selected / 5 total" in printed.stdout
    assert not [event for event in server.events if event["event"] == "fault"]
    assert not [event for event in server.events if event.get("status", 0) == 500]


@pytest.mark.long
def test_as_described(server: Server, tmp_path: Path) -> None:
    asked(server, tmp_path, 5)


@pytest.mark.slow
def test_as_described_by_many(server: Server, tmp_path: Path) -> None:
    asked(server, tmp_path, 500)


@pytest.mark.slow
def test_as_described_with_tokens(bundle: Path, tmp_path: Path) -> None:
    with running(bundle, "--workers", "1", "--max-mb", "1", env={"LUCENCY_TOKENS": TOKEN}) as server:
        asked(server, tmp_path, 50, "-H", f"Authorization: Bearer {TOKEN}")
