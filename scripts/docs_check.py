"""Run every command of README and docs as it is written: `make docs-check`.

    python scripts/docs_check.py [--fast] [PAGE ...]

Blocks marked ```sh and ```python run top to bottom, one folder a page; a film, data set, run or bundle that a command
names is made there first (STAND_INS). A comment on the line before a block says what else it needs:

    <!-- check: skip REASON -->    not run here
    <!-- check: slow -->           left out by --fast
    <!-- check: server -->         its first command serves on port 8000 while the others run
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LUCENCY_SHARED", ROOT.parent / "shared"))
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
BLOCK = re.compile(
    r"(?:^<!-- check: (?P<mark>\w+) ?(?P<why>[^\n]*?) -->\n)?^```(?P<kind>sh|python)\n(?P<text>.*?)^```$", re.M | re.S
)
INLINE = re.compile(r"`(lucency [a-z][a-z-]+ [a-z-][^`\d]*|lucency [a-z-]+)`")
LIMIT_S = {"slow": 3600}
"""Mark → seconds that a command may take; 600 where it is not here."""
PORT = 8000


class Missing(Exception):
    """A stand-in cannot be made here, with the reason."""


@dataclass(frozen=True)
class Block:
    """A block of commands in a page."""

    page: str
    line: int
    kind: str
    text: str
    mark: str
    why: str

    @property
    def commands(self) -> list[str]:
        """One shell command each, continued lines joined; a Python block is one."""
        if self.kind == "python":
            return [self.text]
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    block: Block
    command: str
    verdict: str
    """ok, skipped or FAILED."""
    detail: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        head = self.command.strip().splitlines()[0]
        return (
            f"{self.verdict:8}{self.seconds:6.1f} s  {self.block.page}:{self.block.line}  {head}"
            f"{'  (' + self.detail + ')' if self.detail else ''}"
        )


def pages(names: Sequence[str] = ()) -> list[Path]:
    """The pages that are checked, README first."""
    return [path for pattern in names or PAGES for path in sorted(ROOT.glob(pattern))]


def blocks(page: Path) -> Iterator[Block]:
    """The command blocks of a page, in order."""
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("kind")) + 1
        yield Block(name, line, found["kind"], found["text"], found["mark"] or "", found["why"] or "")


def mentioned(page: Path) -> Iterator[str]:
    """Every `lucency …` command of a page, of blocks and of running text."""
    text = page.read_text(encoding="utf-8")
    yield from (" ".join(found.split()) for found in INLINE.findall(text))
    for block in blocks(page):
        if block.kind == "sh":
            yield from (command for command in block.commands if command.startswith("lucency "))


def unknown_parts(command: str) -> list[str]:
    """What a `lucency …` command names that the command line does not have: a command, or options."""
    import typer

    from lucency.cli import COMMANDS, app

    words = shlex.split(command.partition(" #")[0].replace("…", "..."))[1:]
    if words[0] not in COMMANDS:
        return [words[0]]
    group = typer.main.get_command(app)
    found = group.get_command(typer.Context(group, obj=words), words[0])  # type: ignore[attr-defined]
    if hasattr(found, "commands"):
        if len(words) > 1 and words[1] in found.commands:
            found = found.commands[words[1]]
        elif len(words) > 1 and not words[1].startswith("-"):
            return [" ".join(words[:2])]
    known = {"--help", *(name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts))}
    return [word for word in words if re.match(r"--[a-z]", word) and word.partition("=")[0] not in known]


def drawn_film(place: Path) -> None:
    """A drawn film with pneumonia, in the format of the suffix."""
    from PIL import Image

    from lucency.data.phantom import draw

    if place.suffix == ".dcm":
        from pydicom.data import get_testdata_file

        shutil.copy(str(get_testdata_file("RG1_J2KI.dcm", download=False)), place)
    else:
        Image.fromarray(draw(len(place.name), ill=True).film).save(place)


def study_folder(place: Path) -> None:
    """A folder with one DICOM film."""
    place.mkdir()
    drawn_film(place / "film.dcm")


def film_folder(count: int) -> Callable[[Path], None]:
    """Drawn films under the names of the Kermany set: train/ and test/, NORMAL and PNEUMONIA."""

    def make(place: Path) -> None:
        from PIL import Image

        from lucency.data.phantom import draw

        for number in range(count):
            ill = number % 5 in (1, 3, 4)
            split = "test" if number % 4 == 3 else "train"
            cause = ("bacteria", "virus")[number // 5 % 2]
            name = f"person{number}_{cause}_{number}.jpeg" if ill else f"IM-{number:04d}-0001.jpeg"
            film = place / split / ("PNEUMONIA" if ill else "NORMAL") / name
            film.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw((0, number), ill).film).save(film, quality=92)

    return make


RECIPE = """name = "stand-in"
[data]
image_size = 64
resize_mode = "crop"
[model]
backbone = "mobilenet_v1"
width = 0.25
depth = 8
stride = 16
head = "linear"
[head]
epochs = 2
"""


def tiny_run(fold: int | None = None) -> Callable[[Path], None]:
    """A run of a very small network on `chest_xray`, or on the films outside a fold of three."""

    def make(place: Path) -> None:
        import lucency
        from lucency.data.splits import Fold

        folder = place.parent.parent
        stand_in("chest_xray", folder)
        films = lucency.read_dataset(folder / "chest_xray")
        if fold is not None:
            films, _ = Fold(fold, 3).split(films)
        recipe = place.parent / f".{place.name}.toml"
        recipe.write_text(RECIPE)
        lucency.train(films, recipe, place)

    return make


def shipped(name: str) -> Callable[[Path], None]:
    """A copy of a bundle that ships."""

    def make(place: Path) -> None:
        from lucency.bundle import DEFAULT

        shutil.copytree(DEFAULT.with_name(name), place)

    return make


def from_shared(inside: str) -> Callable[[Path], None]:
    """What only a folder of real films and weights has."""

    def make(place: Path) -> None:
        if not (SHARED / inside).exists():
            raise Missing(f"needs {inside} (docs/data.md, docs/weights.md)")
        place.symlink_to(SHARED / inside)

    return make


def manifest(place: Path) -> None:
    """A table of four drawn films."""
    for number in range(4):
        drawn_film(place.with_name(f"listed-{number}.png"))
    place.write_text("path\n" + "".join(f"listed-{number}.png\n" for number in range(4)))


STAND_INS: dict[str, Callable[[Path], None]] = {
    "film.png": drawn_film,
    "film.dcm": drawn_film,
    "films.csv": manifest,
    "studies": study_folder,
    "chest_xray": film_folder(80),
    "our_films": film_folder(80),
    "films_2023": film_folder(48),
    "films_2024": film_folder(48),
    "runs/mine": tiny_run(),
    "runs/fold-1": tiny_run(fold=1),
    "bundle": shipped("int8"),
    "mobilenet_v2-b0353104.pth": from_shared("weights/mobilenet_v2-b0353104.pth"),
    "kermany224": from_shared("data/kermany224"),
}
"""Name in a command → how it is made, at that place."""


def stand_in(command: str, folder: Path) -> None:
    """Make what the command names and the folder lacks.

    Raises:
        Missing: it cannot be made here.
    """
    for name, make in STAND_INS.items():
        if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", command) and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            make(folder / name)


@cache
def programs() -> str:
    """A folder with this checkout's `lucency`, whatever is installed."""
    folder = Path(tempfile.mkdtemp(prefix="docs-check-bin-"))
    atexit.register(shutil.rmtree, folder)
    script = folder / "lucency"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lucency "$@"\n')
    script.chmod(0o755)
    return str(folder)


def environment() -> dict[str, str]:
    """This checkout's lucency, and its Python first."""
    path = os.pathsep.join([programs(), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "160", "MPLBACKEND": "agg"}


def run_command(block: Block, command: str, folder: Path) -> Outcome:
    """Run one command in the page's folder."""
    start = time.monotonic()
    try:
        stand_in(command, folder)
    except Missing as reason:
        return Outcome(block, command, "skipped", str(reason))
    limit = LIMIT_S.get(block.mark, 600)
    shell = [sys.executable, "-c", command] if block.kind == "python" else ["bash", "-ec", command]
    try:
        done = subprocess.run(shell, cwd=folder, env=environment(), capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return Outcome(block, command, "FAILED", f"still running after {limit} s", limit)
    seconds = time.monotonic() - start
    if done.returncode:
        message = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        return Outcome(block, command, "FAILED", f"exit {done.returncode}: {message}", seconds)
    return Outcome(block, command, "ok", "", seconds)


def run_block(block: Block, folder: Path, fast: bool) -> list[Outcome]:
    """Run a block, or return why it is skipped."""
    if block.mark == "skip" or (fast and block.mark):
        why = block.why if block.mark == "skip" else f"{block.mark}, left out by --fast"
        return [Outcome(block, command, "skipped", why) for command in block.commands]
    if block.mark == "server":
        return with_server(block, folder)
    return [run_command(block, command, folder) for command in block.commands]


def with_server(block: Block, folder: Path) -> list[Outcome]:
    """The block's first command in the background, the others against it; Ctrl-C ends it."""
    first, *others = block.commands
    if _listening():
        return [Outcome(block, first, "skipped", f"port {PORT} is taken")]
    stand_in(first, folder)
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            ["bash", "-ec", f"exec {first}"], cwd=folder, env=environment(), stdout=log, stderr=log
        )
        try:
            start = time.monotonic()
            while not _listening() and server.poll() is None and time.monotonic() - start < 60:
                time.sleep(0.1)
            up = _listening()
            outcomes = [run_command(block, command, folder) for command in others] if up else []
        finally:
            _stop(server)
    verdict = Outcome(block, first, "ok" if up else "FAILED", "" if up else "never listened", time.monotonic() - start)
    return [verdict, *outcomes]


def _stop(server: subprocess.Popen[bytes]) -> None:
    """By Ctrl-C; by SIGTERM where that does nothing, as in a job that a shell started in the background."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        server.send_signal(stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
            return


def _listening() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def check_page(page: Path, fast: bool) -> Iterator[Outcome]:
    """Run a page's blocks in a folder that looks like a checkout without films."""
    with tempfile.TemporaryDirectory(prefix="docs-check-") as name:
        folder = Path(name)
        for part in ("src", "scripts", "benchmarks", "recipes", "docs", "ports", "notebooks", "Makefile"):
            if (ROOT / part).exists():
                (folder / part).symlink_to(ROOT / part)
        for block in blocks(page):
            yield from run_block(block, folder, fast)


def main() -> int:
    """Check the pages and print one line a command; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="leave out slow blocks and servers")
    parser.add_argument("pages", nargs="*", help="as docs/audit.md; all by default")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    chosen, start = pages(options.pages), time.monotonic()
    total = sum(len(block.commands) for page in chosen for block in blocks(page))
    for page in chosen:
        for outcome in check_page(page, options.fast):
            outcomes.append(outcome)
            print(
                f"{len(outcomes):3} of {total}  {timedelta(seconds=round(time.monotonic() - start))}  {outcome}",
                flush=True,
            )
        for command in mentioned(page):
            if unknown := unknown_parts(command):
                outcomes.append(Outcome(Block(page.name, 0, "sh", "", "", ""), command, "FAILED", f"no {unknown}"))
                print(outcomes[-1], flush=True)
    count = {verdict: sum(one.verdict == verdict for one in outcomes) for verdict in ("ok", "skipped", "FAILED")}
    print(", ".join(f"{number} {verdict}" for verdict, number in count.items()))
    return 1 if count["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
