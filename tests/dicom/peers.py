"""Other people's nodes: an archive of pynetdicom, a modality of pynetdicom, and Orthanc."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE, evt

from lucency.dicom.acceptance import KINDS

ORTHANC = shutil.which("Orthanc") or ("/usr/sbin/Orthanc" if Path("/usr/sbin/Orthanc").exists() else None)
ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    """Wait for something that must come about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


class Archive:
    """Takes any report and overlay; remembers the hash of every arrival by its UID."""

    def __init__(self, port: int = 0, status: int = 0) -> None:
        self.port = port or free_port()
        self.status = status
        self.arrived: dict[str, list[str]] = {}
        self.films: dict[str, set[str]] = {}
        self._server: Any = None

    def open(self) -> Archive:
        node = AE(ae_title="ARCHIVE")
        for kind in ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7"):
            node.add_supported_context(kind)
        handlers = [(evt.EVT_C_STORE, self._keep)]
        self._server = node.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def close(self) -> None:
        self._server.shutdown()

    def _keep(self, event: Any) -> int:
        if self.status:
            return self.status
        dataset = event.dataset
        uid = str(dataset.SOPInstanceUID)
        stream = io.BytesIO()
        pydicom.dcmwrite(stream, dataset, implicit_vr=True, little_endian=True)
        self.arrived.setdefault(uid, []).append(hashlib.sha256(stream.getvalue()).hexdigest())
        source = dataset.get("SourceImageSequence")
        if source:
            self.films.setdefault(str(source[0].ReferencedSOPInstanceUID), set()).add(uid)
        return 0


def send(
    port: int,
    films: list[bytes],
    calling: str = "MODALITY",
    called: str = "LUCENCY",
    tls: Any = None,
    modality: str = "chest_xray",
) -> list[Any]:
    """C-STORE each film over one association; the status datasets, as far as it held. None: no association."""
    node = AE(ae_title=calling)
    node.acse_timeout = node.dimse_timeout = node.network_timeout = 30
    for kind in KINDS[modality].classes:
        node.add_requested_context(kind, ["1.2.840.10008.1.2.1"])
    association = node.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    answers: list[Any] = []
    try:
        for film in films if association.is_established else []:
            with contextlib.suppress(RuntimeError):
                answers.append(association.send_c_store(pydicom.dcmread(io.BytesIO(film))))
            if not association.is_established:
                break
    finally:
        if association.is_established:
            association.release()
    return answers


class Orthanc:
    """A running Orthanc: what it holds, and what it is told to do."""

    def __init__(self, base: str, dicom_port: int) -> None:
        self.base, self.dicom_port = base, dicom_port

    def ask(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self.base + path, data=body), timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def file(self, instance: str) -> bytes:
        with urllib.request.urlopen(f"{self.base}/instances/{instance}/file", timeout=60) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Start Orthanc with lucency, at `node_port`, as its modality `lucency`."""
    http, dicom = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(ORTHANC_PLUGIN)] if ORTHANC_PLUGIN.exists() else [],
        "DicomModalities": {"lucency": ["LUCENCY", "127.0.0.1", node_port]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "OverwriteInstances": False,
        "DicomScuTimeout": 120,  # other work may leave little of a machine for a test
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            one = Orthanc(f"http://127.0.0.1:{http}", dicom)
            until(lambda: _up(one))
            yield one
        finally:
            process.terminate()
            process.wait(30)


def _up(one: Orthanc) -> bool:
    try:
        return bool(one.ask("/system"))
    except OSError:
        return False
