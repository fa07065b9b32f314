"""The page beside the Python reader on one machine: a film from file to map, the camera's rate, the first load.

    python benchmarks/web.py                        the int8 bundle that ships
    python benchmarks/web.py --bundle BUNDLE --rounds 30
    python benchmarks/web.py --films FOLDER         only the answers for every film below it, against Python's

Chromium without a GPU, one thread, and `lucency.reader` with one thread read the same JPEG of 1024 × 1024 in turns.
Needs Chromium and playwright; the camera is a video of one drawn film on a light box.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "tests")  # in place of this folder, where `web` would be this file

from lucency.bundle import DEFAULT, open_bundle  # noqa: E402
from lucency.data.phantom import draw  # noqa: E402
from lucency.files import sha256_bytes  # noqa: E402
from lucency.film import open_film  # noqa: E402
from lucency.paint import overlay  # noqa: E402
from lucency.reader import Reader  # noqa: E402
from lucency.web import page_files, write_page  # noqa: E402
from web.browser import PROBE, chromium, read, ready, served  # noqa: E402
from web.scenes import film_video  # noqa: E402

ONCE = """async (given) => {
  const names = ["engine", "film", "lucency", "reading", "viewer", "evidence"];
  const [{ start }, { openFilm }, { prepare }, { inputDoubts, readingOf }, viewer, { marksOf, veilCanvas }] =
    await Promise.all(names.map((name) => import(`./${name}.js`)));
  window.engine ??= await start(() => {});
  window.paper ??= new OffscreenCanvas(1024, 1024).getContext("2d", { willReadFrequently: true });
  const bytes = Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0)), { card } = engine;
  const begin = performance.now();
  const film = await openFilm(bytes), decoded = performance.now();
  const square = prepare(film, card.preprocess), resized = performance.now();
  const outputs = await engine.run(square), inferred = performance.now();
  const reading = readingOf(card, outputs, inputDoubts(film, card));
  const base = viewer.canvasOf(viewer.windowed(film, 0.5, 1)), marks = marksOf(reading), veil = veilCanvas(marks);
  const resizeMode = card.preprocess.resize_mode ?? card.preprocess.fit;
  viewer.paint(paper, { film, base, marks, veil, resizeMode }, { x: 0, y: 0, scale: 1 }, 1);
  paper.getImageData(0, 0, 1, 1);
  const end = performance.now();
  return [decoded - begin, resized - decoded, inferred - resized, end - inferred, end - begin];
}"""
RATE = """async (seconds) => {
  const state = document.querySelector("#camera-answer");
  let count = 0;
  const watch = new MutationObserver(() => { count += 1; });
  watch.observe(state, { childList: true });
  await new Promise((done) => setTimeout(done, 1000 * seconds));
  watch.disconnect();
  return count / seconds;
}"""
KINDS = {".png", ".jpg", ".jpeg", ".dcm"}
STAGES = ("decode", "resize", "infer", "evaluate and paint", "file to overlay")
VIDEO_RATE = 30
"""Pictures a second that Chromium's fake camera gives: no page can read more."""


def main() -> None:
    """Print three tables, or one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=DEFAULT.with_name("int8"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--films", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th film")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page"
        write_page(open_bundle(options.bundle), page)
        (page / "probe.html").write_text(PROBE, encoding="utf-8")
        with served(page) as address:
            if options.films:
                parity(address, films_below(options.films)[:: options.every], Reader.open(options.bundle))
            else:
                film_times(address, film_bytes(), Reader.open(options.bundle), options.rounds)
                camera_rate(address, film_video(Path(folder) / "film.mjpeg"))
                first_load(options.bundle)


def film_bytes() -> bytes:
    """A drawn film as a JPEG of 1024 × 1024."""
    stream = io.BytesIO()
    Image.fromarray(draw(1, ill=True, side=1024).film).resize((1024, 1024)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def film_times(address: str, film: bytes, reader: Reader, rounds: int) -> None:
    """Medians of both, in turns, and their ratio."""
    page: list[list[float]] = []
    python: list[list[float]] = []
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        for number in range(rounds + 2):
            here, there = tab.evaluate(ONCE, base64.b64encode(film).decode()), by_python(reader, film)
            if number >= 2:  # the first two warm both up
                page.append(here)
                python.append(there)
    print(f"one film, JPEG 1024 x 1024, medians of {rounds}, ms      page   python   page/python")
    for stage, here, there in zip(STAGES, zip(*page, strict=True), zip(*python, strict=True), strict=True):
        ratio = statistics.median(a / b for a, b in zip(here, there, strict=True))
        print(f"{stage:48} {statistics.median(here):8.1f} {statistics.median(there):8.1f} {ratio:10.2f}")


def by_python(reader: Reader, data: bytes) -> list[float]:
    """The same stages by the Python reader, ms."""
    times = [time.perf_counter()]
    film = open_film(data)
    times.append(time.perf_counter())
    square = reader.preprocess(film)[None]
    times.append(time.perf_counter())
    answers = reader.read_batch(square)
    times.append(time.perf_counter())
    overlay(film, answers.maps[0, 0], reader.preprocess)
    times.append(time.perf_counter())
    stages = [1000 * (b - a) for a, b in itertools.pairwise(times)]
    return [*stages, sum(stages)]


def films_below(folder: Path) -> list[Path]:
    """Every PNG, JPEG and DICOM, in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)


def parity(address: str, paths: list[Path], reader: Reader) -> None:
    """How far the page is from Python, from a file's bytes to the verdict."""
    same, flipped, away = 0, 0, [0.0]
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        for path in paths:
            data = path.read_bytes()
            film = open_film(data)
            (here,), there = read(tab, [data]), reader.read(film)
            same += here["square"] == sha256_bytes(reader.preprocess(film).tobytes())
            flipped += here["verdict"] != there.verdict
            away += [abs(a - b) for a, b in zip(here["logits"], there.logits.tolist(), strict=True)]
    print(
        f"{len(paths)} films: prepared squares identical {same}, verdicts flipped {flipped}, "
        f"logits apart by at most {max(away):.2g}"
    )


def camera_rate(address: str, video: Path) -> None:
    """Readings a second with the map drawn over the picture."""
    flags = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with chromium(*flags, f"--use-file-for-fake-video-capture={video}") as browser:
        tab: Any = browser.new_page()
        ready(tab, address)
        tab.click("#camera")
        tab.wait_for_selector("#camera-answer .verdict")
        rates = [tab.evaluate(RATE, 4) for _ in range(3)]
    shown = ", ".join(f"{rate:.1f}" for rate in rates)
    print(
        f"\ncamera, 640 x 480 of at most {VIDEO_RATE} pictures a second: {shown} readings a second with map (bar: 15)"
    )


def first_load(bundle: Path) -> None:
    """What a first visit brings, as it lies on disk and as a server sends it that compresses with gzip."""
    files = page_files(open_bundle(bundle))
    loaded = {name: content for name, content in files.items() if "compat" not in name and "codecs/" not in name}
    packed = sum(len(gzip.compress(content, 6)) for content in loaded.values())
    print(
        f"\nfirst load: {len(loaded)} files, {sum(map(len, loaded.values())):,} bytes, {packed:,} with gzip, of which"
    )
    for name, content in sorted(loaded.items(), key=lambda item: -len(item[1]))[:3]:
        print(f"  {name:36} {len(content):>10,} {len(gzip.compress(content, 6)):>10,}")


if __name__ == "__main__":
    main()
