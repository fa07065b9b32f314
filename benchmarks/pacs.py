"""Films a minute that `lucency pacs serve` answers, on loopback, beside the same answers made in a plain loop.

    python benchmarks/pacs.py [--films 200] [--side 2048] [--rounds 3] [--bundle DIR]

A round sends drawn CR films (12 bits, uncompressed) over one association, as fast as they are acknowledged, and waits
until an archive in a process of its own holds report and overlay of each. The loop reads the same bytes and makes the
same answers, with no network, no disk and no queue: what the node adds is the ratio. All share the machine's cores.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt

from lucency.bench import machine
from lucency.bundle import DEFAULT
from lucency.data.phantom import draw
from lucency.dicom.answer import answer
from lucency.progress import track
from lucency.reader import Reader

HOST = "127.0.0.1"
DRAWN = 16
"""Different films; each is sent again and again as another instance."""


@dataclass(frozen=True)
class Round:
    acknowledged: float
    """Films a minute."""
    answered: float


def cr(gray: np.ndarray[Any, Any], number: int) -> bytes:
    """A CR film of 12 bits, the `number`th of its kind."""
    film = FileDataset(None, {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = ComputedRadiographyImageStorage, f"1.2.3.4.5.{number}"
    film.StudyInstanceUID, film.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.5"
    film.PatientID, film.PatientName, film.Modality = "DRAWN", "Drawn^Film", "CR"
    film.BodyPartExamined, film.ViewPosition = "CHEST", "PA"
    film.SamplesPerPixel, film.PhotometricInterpretation, film.PixelRepresentation = 1, "MONOCHROME2", 0
    film.Rows, film.Columns = gray.shape
    film.BitsAllocated, film.BitsStored, film.HighBit = 16, 12, 11
    film.add_new("PixelData", "OW", gray.astype("<u2").tobytes())
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    dcmwrite(stream, film, enforce_file_format=True)
    return stream.getvalue()


def drawn(side: int) -> list[np.ndarray[Any, Any]]:
    """Gray of 12 bits, with grain."""
    films = []
    for number in track(range(DRAWN), "drawing films", DRAWN):
        square = Image.fromarray(draw((number,), ill=bool(number % 2)).film).resize((side, side))
        grain = np.random.default_rng(number).integers(-40, 41, (side, side))
        films.append((np.asarray(square, np.int32) * 16 + grain).clip(0, 4095))
    return films


def archive(port: int, arrived: Synchronized[int]) -> None:
    """Count what is stored, for ever."""

    def keep(event: Any) -> int:
        with arrived.get_lock():
            arrived.value += 1
        return 0

    node = AE(ae_title="ARCHIVE")
    for kind in (ComprehensiveSRStorage, SecondaryCaptureImageStorage):
        node.add_supported_context(kind)
    node.start_server((HOST, port), evt_handlers=[(evt.EVT_C_STORE, keep)])


@contextmanager
def running(bundle: Path, folder: Path) -> Iterator[tuple[int, Synchronized[int]]]:
    """A node and the archive that it answers to: the node's port, and how many objects have arrived."""
    port, there = free_port(), free_port()
    arrived: Synchronized[int] = multiprocessing.Value("i", 0)
    sink = multiprocessing.Process(target=archive, args=(there, arrived), daemon=True)
    sink.start()
    words = ["--to", f"dicom://ARCHIVE@{HOST}:{there}", "--allow", "MODALITY", "--port", str(port)]
    words += ["--queue", str(folder / "queue"), "--bundle", str(bundle)]
    with (folder / "log").open("wb") as log:
        node = subprocess.Popen([sys.executable, "-m", "lucency", "pacs", "serve", *words], stdout=log, stderr=log)
    try:
        for one in (port, there):
            while not _listens(one):
                if node.poll() is not None:
                    sys.exit((folder / "log").read_text())
                time.sleep(0.1)
        yield port, arrived
    finally:
        node.terminate()
        node.wait()
        sink.kill()


def sent(port: int, films: list[bytes], arrived: Synchronized[int]) -> Round:
    """Send the films over one association; wait until two objects have arrived for each."""
    before, times = arrived.value, {}
    start = time.perf_counter()

    def send() -> None:
        node = AE(ae_title="MODALITY")
        node.add_requested_context(ComputedRadiographyImageStorage, [ExplicitVRLittleEndian])
        association = node.associate(HOST, port, ae_title="LUCENCY")
        for film in films:
            status = association.send_c_store(dcmread(io.BytesIO(film))).get("Status")
            assert status == 0, status
        association.release()
        times["acknowledged"] = time.perf_counter() - start

    sender = threading.Thread(target=send)
    sender.start()
    while arrived.value < before + 2 * len(films):
        time.sleep(0.02)
    sender.join()
    seconds = time.perf_counter() - start
    return Round(60 * len(films) / times["acknowledged"], 60 * len(films) / seconds)


def looped(reader: Reader, films: list[bytes]) -> float:
    """Films a minute, answered one after the other in this process."""
    start = time.perf_counter()
    for film in films:
        answer(film, reader, datetime.now())
    return 60 * len(films) / (time.perf_counter() - start)


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((HOST, port)) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=DEFAULT)
    parser.add_argument("--films", type=int, default=200, help="of a round")
    parser.add_argument("--side", type=int, default=2048, help="pixels of a film, both ways")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()['processor']}, {machine()['cores']} cores, load {os.getloadavg()[0]:.1f} before the start")
    grays = drawn(options.side)
    reader = Reader.open(options.bundle)
    looped(reader, [cr(grays[0], 0)])
    rounds: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, running(options.bundle, Path(folder)) as (port, arrived):
        sent(port, [cr(gray, 9_000_000 + n) for n, gray in enumerate(grays)], arrived)  # warms it up
        for number in range(1, options.rounds + 1):
            films = [cr(grays[n % DRAWN], number * 100_000 + n) for n in range(options.films)]
            loop = looped(reader, films[: max(DRAWN, options.films // 4)])
            rate = sent(port, films, arrived)
            print(
                f"round {number}: loop {loop:.0f} films a minute; node acknowledged {rate.acknowledged:.0f}, "
                f"answered {rate.answered:.0f} ({rate.answered / loop:.2f} × the loop)"
            )
            rounds.append((loop, rate.acknowledged, rate.answered))
    loop, acknowledged, answered = (median(column) for column in zip(*rounds, strict=True))
    print(f"median: loop {loop:.0f}, acknowledged {acknowledged:.0f}, answered {answered:.0f} films a minute")


if __name__ == "__main__":
    main()
