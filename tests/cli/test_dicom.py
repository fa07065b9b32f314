"""`lucency dicom`, from files to files; and `pacs`: what is said to its operator (the node: tests/dicom)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from dicom.films import film, gray
from lucency.cli import run
from lucency.dicom.queue import Queue

from .brightness import write_brightness_bundle

pytest.importorskip("highdicom", reason="needs lucency[dicom]")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_brightness_bundle(tmp_path / "bundle")
    (tmp_path / "a.dcm").write_bytes(film(1))
    (tmp_path / "b.dcm").write_bytes(film(2, pixels=gray(96)))
    (tmp_path / "side.dcm").write_bytes(film(3, ViewPosition="LL"))
    return tmp_path


def answer(place: Path, *names: str) -> int:
    films = [str(place / name) for name in names if name.endswith(".dcm")]
    rest = [name for name in names if not name.endswith(".dcm")]
    return run(["dicom", *films, *rest, "--out", str(place / "out"), "--bundle", str(place / "bundle")])


def test_two_films(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(place, "a.dcm", "b.dcm") == 0
    printed = capsys.readouterr().out
    assert ": pneumonia (0.50 or more)" in printed
    assert ": normal (below 0.50)" in printed
    assert printed.splitlines()[-1] == "Research use only. Not for diagnosis."
    files = list((place / "out").iterdir())
    assert sorted(pydicom.dcmread(path).Modality for path in files) == ["OT", "OT", "SR", "SR"]
    assert not [path for path in files if "P7" in path.name or "1.2.3.4" in path.name]


def test_a_second_run_changes_nothing(place: Path) -> None:
    answer(place, "a.dcm")
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    answer(place, "a.dcm")
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before


def test_a_bad_film_costs_no_other(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(place, "side.dcm", "missing.dcm", "a.dcm", "--json") == 3
    side, missing, good = map(json.loads, capsys.readouterr().out.splitlines())
    assert "view LL" in side["error"]
    assert "missing.dcm: found no such file" in missing["error"]
    assert Path(good["report"]).is_file()
    assert good["verdict"] == "pneumonia"


def test_one_uid_names_one_film(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another patient, or other pixels, under a UID: refused by name, in one run and the next; nothing overwritten."""
    (place / "other.dcm").write_bytes(film(1, PatientID="P8", PatientName="Other^Patient"))
    (place / "pixels.dcm").write_bytes(film(1, pixels=gray(96)))
    assert answer(place, "a.dcm", "other.dcm", "pixels.dcm") == 3
    printed = capsys.readouterr().err
    assert "other.dcm: found another film under a UID that was received before" in printed
    assert "pixels.dcm: found another film" in printed
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    assert len(before) == 2
    assert answer(place, "other.dcm") == 3
    assert answer(place, "a.dcm", "a.dcm") == 0  # a repeat of the same is harmless
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before


pytest.importorskip("highdicom", reason="needs lucency[dicom]")


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    one = Queue(tmp_path / "q")
    one.put("1.2.3", b"film", "digest")
    one.bury(one.begin().key, "the destination answered the report with 0xC123")  # type: ignore[union-attr]
    one.put("1.2.4", b"film", "digest")
    return tmp_path / "q"


def test_list(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pacs", "list", "--queue", str(queue)]) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "waiting 1  answered 0  delivered 0  dead 1"
    assert "0xC123" in printed
    assert run(["pacs", "list", "--queue", str(queue), "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["waiting"], len(facts["given_up"])) == (1, 1)
    assert "1.2.3" not in json.dumps(facts)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of one's own needs root on Linux")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("ends", ["os._exit(9)", "del queue"], ids=["killed", "stopped"])
def test_list_on_a_full_disk(small_disk: Path, capsys: pytest.CaptureFixture[str], ends: str) -> None:
    words = "import os, sys, pathlib; from lucency.dicom.queue import Queue; queue = Queue(pathlib.Path(sys.argv[1]))"
    script = f"{words}; queue.give_reserve(); queue.put('1.2.3', b'film' * 1000, 'digest'); {ends}"
    subprocess.run([sys.executable, "-c", script, str(small_disk / "q")], check=False)
    with (small_disk / "rest").open("wb", buffering=0) as rest, pytest.raises(OSError, match="No space left"):
        while True:
            rest.write(bytes(512))
    for _ in range(2):
        assert run(["pacs", "list", "--queue", str(small_disk / "q")]) == 0
        assert capsys.readouterr().out.startswith("waiting 1  answered 0")


def test_list_leaves_the_reserve_and_looks_beside_a_node(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = Queue(queue)
    assert run(["pacs", "list", "--queue", str(queue)]) == 1
    node.put("1.2.5", b"film", "digest")
    assert run(["pacs", "list", "--queue", str(queue)]) == 1
    assert [line[:9] for line in capsys.readouterr().out.splitlines() if "waiting" in line] == [
        "waiting 1",
        "waiting 2",
    ]
    assert not node.is_short()


def test_retry_and_forget(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pacs", "retry", "--queue", str(queue)]) == 0
    assert capsys.readouterr().out == "1 films are tried again\n"
    assert run(["pacs", "list", "--queue", str(queue)]) == 0
    assert run(["pacs", "forget", "--queue", str(queue)]) == 0
    assert "0 films forgotten" in capsys.readouterr().out


WRONG = {
    "destination": (["--to", "ftp://a"], "expected a destination like dicom://AET@host:port"),
    "no port": (["--to", "dicom://A@b"], "expected a destination"),
    "long title": (["--to", f"dicom://{'A' * 17}@b:104"], "expected an AE title of 1 to 16"),
    "title": (["--to", "dicom://A@b:104", "--title", "B" * 17], "expected an AE title of 1 to 16"),
    "caller": (["--to", "dicom://A@b:104", "--allow", ""], "expected an AE title of 1 to 16"),
    "missing": (["--to", "dicom://A@b:104", "--certificate", "missing.pem"], "missing.pem: expected a file"),
    "key alone": (["--to", "dicom://A@b:104", "--key", __file__], "expected --certificate with it"),
    "certificate": (["--to", "dicom://A@b:104", "--certificate", __file__], "expected a certificate and its key"),
    "authority": (["--to", "dicom://A@b:104", "--authority", __file__], "expected certificates in PEM"),
    "token": (["--to", "http://a/b", "--token", __file__], "expected a bearer token, one word"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_line_for_what_makes_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    words, reason = WRONG[case]
    assert run(["pacs", "serve", *words, "--allow", "X", "--queue", str(tmp_path / "q")]) == 2
    printed = capsys.readouterr().err
    assert reason in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "where", "reason"),
    [
        ("ftp://a", "StudyDate=20240105", "expected a DICOMweb server like https://host/dicom-web"),
        ("http://a", "StudyDay=20240105", "a keyword of DICOM, got 'StudyDay=20240105'"),
        ("http://a", "StudyDate", "expected --where KEYWORD=VALUE"),
    ],
)
def test_what_cannot_be_pulled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, where: str, reason: str
) -> None:
    words = ["pacs", "pull", source, "--to", "dicom://A@b:104", "--where", where, "--queue", str(tmp_path / "q")]
    assert run(words) == 2
    printed = capsys.readouterr().err
    assert reason in printed
    assert printed.count("\n") == 1


def test_a_queue_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pacs", "list", "--queue", str(tmp_path / "none")]) == 2
    assert "expected the folder of a queue" in capsys.readouterr().err


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    bundle = write_brightness_bundle(tmp_path / "bundle")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["pacs", "serve", "--to", "dicom://A@b:104", "--allow", "X", "--queue", str(tmp_path / "q")]
        assert run([*words, "--bundle", str(bundle), "--port", str(taken.getsockname()[1])]) == 2
    assert "expected a free port" in capsys.readouterr().err
