"""Run every command of README and docs as it is written: `make docs-check`.

    python scripts/docs_check.py [--fast] [--whole] [PAGE ...]

Blocks marked ```sh and ```python run top to bottom, one folder a page; a film, data set, run or bundle that a command
names is put there first (docs_stand_ins.py). There are fewer drawn films and epochs than written (SMALLER), unless
--whole is given. A comment on the line before a block says what else it needs:

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
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

from docs_stand_ins import Missing, stand_in

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
BLOCK = re.compile(
    r"(?:^<!-- check: (?P<mark>\w+) ?(?P<why>[^\n]*?) -->\n)?^```(?P<kind>sh|python)\n(?P<text>.*?)^```$", re.M | re.S
)
INLINE = re.compile(r"`(lucency [a-z][a-z-]+ [a-z-][^`\d]*|lucency [a-z-]+)`")
LIMIT_S = {"slow": 3600}
"""Mark → seconds that a command may take; 600 where it is not here."""
PORT = 8000


SMALLER = {
    "train phantom ": "train small.toml ",
    "phantom:800": "phantom:60",
    "phantom:400:1": "phantom:40:1",
    "phantom:200": "phantom:40",
    "--writer 30000": "--writer 3000",
    "--films 20": "--films 5",
}
"""As written → as run here, where a command would take minutes."""


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
    processor: float = 0.0
    """Seconds of processor time, which another program on the machine does not lengthen."""

    def __str__(self) -> str:
        head = self.command.strip().splitlines()[0]
        took = f"{self.seconds:6.1f} s {self.processor:6.1f} s CPU"
        detail = f"  ({self.detail})" if self.detail else ""
        return f"{self.verdict:8}{took}  {self.block.page}:{self.block.line}  {head}{detail}"


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


def smaller(command: str) -> str:
    """The command with fewer films and epochs."""
    for written, run in SMALLER.items():
        command = command.replace(written, run)
    return command


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
    try:
        stand_in(command, folder)
    except Missing as reason:
        return Outcome(block, command, "skipped", str(reason))
    start, before = time.monotonic(), processor_seconds()
    limit = LIMIT_S.get(block.mark, 600)
    shell = [sys.executable, "-c", command] if block.kind == "python" else ["bash", "-ec", command]
    verdict, message = "ok", ""
    try:
        done = subprocess.run(shell, cwd=folder, env=environment(), capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        verdict, message = "FAILED", f"still running after {limit} s"
    else:
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            verdict, message = "FAILED", f"exit {done.returncode}: {last}"
    return Outcome(block, command, verdict, message, time.monotonic() - start, processor_seconds() - before)


def processor_seconds() -> float:
    """Processor time of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_block(block: Block, folder: Path, fast: bool) -> Iterator[Outcome]:
    """Run a block, or say why it is skipped."""
    if block.mark == "skip" or (fast and block.mark):
        why = block.why if block.mark == "skip" else f"{block.mark}, left out by --fast"
        yield from (Outcome(block, command, "skipped", why) for command in block.commands)
    elif block.mark == "server":
        yield from with_server(block, folder)
    else:
        yield from (run_command(block, command, folder) for command in block.commands)


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
        start, before = time.monotonic(), processor_seconds()
        try:
            while not _listening() and server.poll() is None and time.monotonic() - start < 180:
                time.sleep(0.1)
            up, took = _listening(), time.monotonic() - start
            outcomes = [run_command(block, command, folder) for command in others] if up else []
        finally:
            _stop(server)
    own = processor_seconds() - before - sum(one.processor for one in outcomes)
    return [Outcome(block, first, "ok" if up else "FAILED", "" if up else "never listened", took, own), *outcomes]


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


def check_page(page: Path, fast: bool, whole: bool = False) -> Iterator[Outcome]:
    """Run a page's blocks in a folder that looks like a checkout without films."""
    with tempfile.TemporaryDirectory(prefix="docs-check-") as name:
        folder = Path(name)
        for part in ("src", "scripts", "benchmarks", "recipes", "docs", "ports", "notebooks", "Makefile"):
            if (ROOT / part).exists():
                (folder / part).symlink_to(ROOT / part)
        for block in blocks(page):
            yield from run_block(block if whole else replace(block, text=smaller(block.text)), folder, fast)
    for command in mentioned(page):
        if unknown := unknown_parts(command):
            yield Outcome(Block(str(page.relative_to(ROOT)), 0, "sh", "", "", ""), command, "FAILED", f"no {unknown}")


def by_page(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A line for each page that ran something, then one for all."""
    for page in [*dict.fromkeys(one.block.page for one in outcomes), "all"]:
        some = [one for one in outcomes if one.seconds and page in (one.block.page, "all")]
        if some:
            minutes, processor = sum(one.seconds for one in some) / 60, sum(one.processor for one in some) / 60
            yield f"{minutes:6.1f} min {processor:6.1f} min CPU  {page}"


def main() -> int:
    """Check the pages and print one line a command, then the minutes by page; 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="leave out slow blocks and servers")
    parser.add_argument("--whole", action="store_true", help="as many films and epochs as the pages say")
    parser.add_argument("pages", nargs="*", help="as docs/audit.md; all by default")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    chosen, start = pages(options.pages), time.monotonic()
    total = sum(len(block.commands) for page in chosen for block in blocks(page))
    for page in chosen:
        for outcome in check_page(page, options.fast, options.whole):
            outcomes.append(outcome)
            passed = timedelta(seconds=round(time.monotonic() - start))
            print(f"{len(outcomes):3} of {total}  {passed}  {outcome}", flush=True)
    print(*by_page(outcomes), sep="\n")
    count = {verdict: sum(one.verdict == verdict for one in outcomes) for verdict in ("ok", "skipped", "FAILED")}
    print(", ".join(f"{number} {verdict}" for verdict, number in count.items()))
    return 1 if count["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
