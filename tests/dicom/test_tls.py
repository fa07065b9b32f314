"""Associations under TLS: both sides show certificates, and without one nobody gets in."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from dicom.films import film
from dicom.peers import free_port, send, until
from lucency.dicom.answer import Part
from lucency.dicom.deliver import Credentials, Unreachable, client_tls, destination
from lucency.dicom.node import NodeConfig, start_scp
from lucency.dicom.queue import Queue

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates"),
]


@pytest.fixture
def ours(tmp_path: Path) -> Credentials:
    """A certificate for 127.0.0.1 that vouches for itself."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run([*words, "-out", str(certificate)], check=True, capture_output=True)
    return Credentials(certificate, key, certificate)


def log(*_: str) -> None:
    pass


def test_only_who_shows_a_certificate_gets_in(tmp_path: Path, ours: Credentials) -> None:
    queue, port = Queue(tmp_path / "q"), free_port()
    close = start_scp(NodeConfig(port=port, callers=("MODALITY",)), queue, "digest", ours, log)
    try:
        known = client_tls(ours)
        nameless = ssl.create_default_context(cafile=ours.authority)
        assert send(port, [film(1)]) == []
        assert not any(answer.get("Status") == 0 for answer in send(port, [film(2)], tls=(nameless, "127.0.0.1")))
        assert [answer.Status for answer in send(port, [film(3)], tls=(known, "127.0.0.1"))] == [0]
        until(lambda: queue.counts()["waiting"] == 1)
    finally:
        close()


def test_answers_go_out_under_tls_and_only_to_whom_we_trust(tmp_path: Path, ours: Credentials) -> None:
    queue, port = Queue(tmp_path / "q"), free_port()
    close = start_scp(NodeConfig(title="ARCHIVE", port=port, callers=("LUCENCY",)), queue, "digest", ours, log)
    part = (Part("overlay", "1.2.3.4.5.1", film(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")),)
    try:
        destination(f"dicoms://ARCHIVE@127.0.0.1:{port}", "LUCENCY", ours)(part)
        assert queue.counts()["waiting"] == 1
        with pytest.raises(Unreachable):
            destination(f"dicoms://ARCHIVE@127.0.0.1:{port}", "LUCENCY", Credentials())(part)
        with pytest.raises(Unreachable):
            destination(f"dicom://ARCHIVE@127.0.0.1:{port}", "LUCENCY", Credentials())(part)
    finally:
        close()
