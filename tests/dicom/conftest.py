"""A reader that is known by heart, and where real peers are found."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from lucency.reader import Reader

pytest.importorskip("highdicom", reason="needs lucency[dicom]")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logit = (mean gray - 128) / 16."""
    return write_brightness_bundle(tmp_path_factory.mktemp("reader") / "bundle")


@pytest.fixture(scope="session")
def reader(bundle: Path) -> Reader:
    return Reader.open(bundle)


@pytest.fixture(scope="session")
def pydicom_data() -> Path:
    """The folder of real DICOM files that the package pydicom-data installs."""
    spec = importlib.util.find_spec("data_store")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package pydicom-data")
    return Path(spec.origin).parent / "data"


@pytest.fixture(autouse=True, scope="session")
def _closed_sockets() -> Iterator[None]:
    """Pynetdicom 3.0.4 does not close a socket that cannot be shut down, and leaves it to the garbage collector."""
    from pynetdicom.transport import AssociationSocket

    def shut_down(self: AssociationSocket) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AssociationSocket, "_shutdown_socket", shut_down)
        yield
