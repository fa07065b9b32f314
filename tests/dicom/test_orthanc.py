"""A real Orthanc sends, lucency answers, Orthanc holds the answer; then the same by DICOMweb, and by DCMTK."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom.films import film
from dicom.peers import ORTHANC, ORTHANC_PLUGIN, Orthanc, free_port, orthanc, until
from lucency.cli import run
from lucency.dicom.deliver import Credentials, destination, web_client
from lucency.dicom.node import NodeConfig, fetch_all, find, start_scp
from lucency.dicom.queue import Queue
from lucency.dicom.worker import start, working
from lucency.reader import Reader

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(ORTHANC is None, reason="needs Orthanc (apt-get install orthanc)"),
]
web = pytest.mark.skipif(not ORTHANC_PLUGIN.exists(), reason="needs the package orthanc-dicomweb")
NODE_PORT = free_port()
DCM2PNM = shutil.which("dcm2pnm")
STORESCU = DCM2PNM and shutil.which("storescu", path=Path(DCM2PNM).parent)
"""DCMTK's, beside its other tools: pynetdicom installs a command of the same name."""


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Orthanc]:
    with orthanc(tmp_path / "orthanc", NODE_PORT) as one:
        yield one


def log(*_: str) -> None:
    pass


Listen = Callable[[str], Queue]


@pytest.fixture
def listen(tmp_path: Path, reader: Reader) -> Iterator[Listen]:
    """A node that Orthanc may call, answering to an address."""
    closing: list[Callable[[], None]] = []

    def one(to: str, callers: tuple[str, ...] = ("ORTHANC", "DCMTK")) -> Queue:
        queue, stop = Queue(tmp_path / "q"), threading.Event()
        config = NodeConfig(port=NODE_PORT, callers=callers)
        closing.append(start_scp(config, queue, reader.bundle.digest, Credentials(), log))
        threads = start(queue, reader, destination(to, "LUCENCY", Credentials()), stop, log)
        closing.extend([stop.set, *(thread.join for thread in threads)])
        return queue

    yield one
    for end in closing:
        end()


def answers(peer: Orthanc) -> dict[str, Any]:
    """What Orthanc holds besides films: modality → data set."""
    held = [pydicom.dcmread(io.BytesIO(peer.file(one))) for one in peer.ask("/instances")]
    return {one.Modality: one for one in held if one.Modality in ("SR", "OT")}


def test_orthanc_sends_and_holds_the_answer(peer: Orthanc, listen: Listen, pydicom_data: Path, tmp_path: Path) -> None:
    queue = listen(f"dicom://ORTHANC@127.0.0.1:{peer.dicom_port}")
    for data in (film(), (pydicom_data / "RG1_J2KR.dcm").read_bytes()):
        stored = peer.ask("/instances", data)
        peer.ask("/modalities/lucency/store", stored["ID"].encode())
    until(lambda: queue.counts()["delivered"] == 2)
    assert len(peer.ask("/instances")) == 6
    assert set(answers(peer)) == {"SR", "OT"}
    assert {study["MainDicomTags"]["StudyInstanceUID"] for study in peer.ask("/studies?expand")} == {
        "1.2.3.4",
        "1.3.6.1.4.1.5962.1.2.9.20040826185059.5457",
    }
    assert [study["PatientMainDicomTags"]["PatientID"] for study in peer.ask("/studies?expand")].count("P7") == 1
    if shutil.which("dciodvfy"):
        for kind, held in answers(peer).items():
            held.save_as(tmp_path / f"{kind}.dcm")
            found = subprocess.run(["dciodvfy", tmp_path / f"{kind}.dcm"], capture_output=True, text=True, check=False)
            assert [line for line in found.stderr.splitlines() if line.startswith("Error")] == []


def test_orthanc_is_told_what_is_wrong_with_a_lateral(peer: Orthanc, listen: Listen) -> None:
    import urllib.error

    queue = listen(f"dicom://ORTHANC@127.0.0.1:{peer.dicom_port}")
    stored = peer.ask("/instances", film(ViewPosition="LL"))
    with pytest.raises(urllib.error.HTTPError):
        peer.ask("/modalities/lucency/store", stored["ID"].encode())
    assert sum(queue.counts().values()) == 0


@web
def test_delivery_by_stow_and_again_changes_nothing(peer: Orthanc, listen: Listen, reader: Reader) -> None:
    queue = listen(f"{peer.base}/dicom-web")
    stored = peer.ask("/instances", film())
    peer.ask("/modalities/lucency/store", stored["ID"].encode())
    until(lambda: queue.counts()["delivered"] == 1)
    before = {one: peer.file(one) for one in peer.ask("/instances")}
    assert len(before) == 3
    from lucency.dicom.answer import Part

    parts = tuple(
        Part("report", str(one.SOPInstanceUID), peer.file(key))
        for key in before
        if (one := pydicom.dcmread(io.BytesIO(before[key]))).Modality in ("SR", "OT")
    )
    destination(f"{peer.base}/dicom-web", "LUCENCY", Credentials())(parts)
    assert {one: peer.file(one) for one in peer.ask("/instances")} == before


@web
def test_pull_by_query(peer: Orthanc, reader: Reader, tmp_path: Path) -> None:
    for number in range(1, 4):
        peer.ask("/instances", film(number))
    peer.ask("/instances", film(9, StudyDate="20200101", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"))
    client = web_client(f"{peer.base}/dicom-web", Credentials())
    queue = Queue(tmp_path / "pulled")
    found = list(find(client, {"StudyDate": "20240301-20240331"}, ("CR", "DX")))
    assert sorted(instance for _, _, instance in found) == ["1.2.3.4.5.1", "1.2.3.4.5.2", "1.2.3.4.5.3"]
    with working(queue, reader, destination(f"{peer.base}/dicom-web", "LUCENCY", Credentials()), log):
        assert fetch_all(client, {"StudyDate": "20240301-20240331"}, queue, reader.bundle.digest, 2, log) == 0
    assert queue.counts()["delivered"] == 3
    assert len(peer.ask("/instances")) == 4 + 6


@web
def test_the_command_pulls_once(
    peer: Orthanc, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.ask("/instances", film())
    url = f"{peer.base}/dicom-web"
    words = ["pacs", "pull", url, "--to", url, "--where", "PatientID=P7", "--bundle", str(bundle)]
    for _ in range(2):
        assert run([*words, "--queue", str(tmp_path / "q")]) == 0
        assert len(peer.ask("/instances")) == 3
    captured = capsys.readouterr()
    assert "delivered 1" in captured.out
    assert "P7" not in captured.out + captured.err


@pytest.mark.skipif(STORESCU is None, reason="needs storescu (apt-get install dcmtk)")
def test_dcmtk_sends(peer: Orthanc, listen: Listen, pydicom_data: Path) -> None:
    queue = listen(f"dicom://ORTHANC@127.0.0.1:{peer.dicom_port}")
    words = [STORESCU, "-v", "-aet", "DCMTK", "-aec", "LUCENCY", "127.0.0.1", str(NODE_PORT)]
    subprocess.run([*words, pydicom_data / "RG1_UNCR.dcm"], check=True, timeout=60, capture_output=True)
    until(lambda: queue.counts()["delivered"] == 1)
    leg = subprocess.run(
        [*words, pydicom_data / "RG3_UNCR.dcm"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "DataSetDoesNotMatchSOPClass" in leg.stdout + leg.stderr
    assert queue.counts()["delivered"] == sum(queue.counts().values()) == 1
    assert len(peer.ask("/instances")) == 2
