from __future__ import annotations

import pytest

from lucency.bundle import Bundle, open_bundle
from reader.brightness_litert import write_brightness_litert


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A film's logit is (mean gray - 128) / 16."""
    return open_bundle(write_brightness_litert(tmp_path_factory.mktemp("score") / "bundle"))
