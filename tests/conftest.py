"""What several tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: more threads would wait
settings.register_profile("lucency", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("lucency")
# Whoever is started in the background by a shell is deaf to Ctrl-C, and so are the programs it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real films and weights beside the project; tests that need it skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the real films and weights, which are not part of the project")
    return folder
