"""A bundle, and a server that most tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from film.conftest import make_dicom

from .running import Server, running

__all__ = ["bundle", "make_dicom", "server"]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brightness_bundle(tmp_path_factory.mktemp("serve") / "bundle")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with running(bundle, "--workers", "1", "--max-mb", "1", "--max-megapixels", "2", "--batch", "3") as started:
        yield started
