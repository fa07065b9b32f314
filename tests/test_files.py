from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lucency.errors import OUTPUT_LOCKED, OutputError
from lucency.files import (
    beside,
    locked,
    parse_json,
    sha256_bytes,
    sha256_file,
    write_text,
)


def test_beside_writes_the_content_and_leaves_no_draft(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "é")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "é".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_keeps_the_old_content(tmp_path: Path, stop: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")
    with pytest.raises(stop), beside(target) as draft:
        draft.write_text("half")
        raise stop
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_private_file_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def renamed(draft: Path, target: Path) -> None:
        modes.append(stat.S_IMODE(draft.stat().st_mode))
        draft.rename(target)

    monkeypatch.setattr(Path, "replace", renamed)
    with beside(tmp_path / "key", mode=0o600) as draft:
        modes.append(stat.S_IMODE(draft.stat().st_mode))
    assert modes == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_an_uncreatable_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written .*--out"):
        write_text(tmp_path / "file" / "below.txt", "x")


def test_sha256_equals_hashlibs(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1: the digest of "abc"
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == sha256_file(tmp_path / "abc") == known == hashlib.sha256(b"abc").hexdigest()


HOLD = """
import pathlib, sys
from lucency.files import locked
with locked(pathlib.Path(sys.argv[1]), sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks on Windows")
@pytest.mark.parametrize("mode", ["shared", "exclusive"])
def test_locks_exclude_other_processes_and_end_with_theirs(tmp_path: Path, mode: str) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path), mode]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match="another lucency process") as caught, locked(tmp_path):
        pass
    assert caught.value.code == OUTPUT_LOCKED
    if mode == "shared":
        with locked(tmp_path, shared=True):
            pass
    entered = threading.Event()

    def enter() -> None:
        with locked(tmp_path, wait=True):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    assert not entered.wait(0.2)
    holder.kill()
    holder.communicate()
    waiting.join()
    assert entered.is_set()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 100 + "]" * 100, "{", b"\xff"], ids=["deep", "100", "cut", "bytes"]
)
def test_parse_json_raises_value_error_only(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_surrogates_are_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "\udcff.png")
    assert (tmp_path / "a.csv").read_text() == "\\udcff.png"
