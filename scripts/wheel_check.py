"""Build the wheel, install it in a new virtual environment, and read a film with it from an empty folder.

python scripts/wheel_check.py                        on top of what this Python has installed; no network
python scripts/wheel_check.py --with-dependencies    a full installation, as a user's
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOOK = (
    "import lucency; from lucency.bundle import DEFAULT; print(lucency.__file__, DEFAULT / 'golden' / 'pneumonia.png')"
)


def main() -> int:
    """Print each step's seconds; 1 where the wheel does not read."""
    full = "--with-dependencies" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        step("build", sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
        wheel = next((folder / "dist").glob("*.whl"))
        python = environment(folder / "venv", full)
        options = [] if full else ["--no-deps", "--no-index"]
        step("install", python, "-m", "pip", "install", "--quiet", *options, wheel)
        empty = folder / "empty"
        empty.mkdir()
        where, film = step("import", python, "-I", "-c", LOOK, cwd=empty).split()
        answer = json.loads(step("read", python, "-I", "-m", "lucency", "read", film, "--json", cwd=empty))
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, verdict {answer['verdict']}")
        return 0 if where.startswith(str(folder)) and answer["verdict"] == "pneumonia" else 1


def environment(folder: Path, full: bool) -> Path:
    """The Python of a new virtual environment, which sees this one's packages unless it gets its own."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    if not full:
        own = subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        )
        (Path(own.strip()) / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def step(what: str, *command: object, cwd: Path | None = None) -> str:
    """Run a command; its output, and the time it took on stderr."""
    start = time.monotonic()
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    print(f"{what:8}{time.monotonic() - start:6.1f} s", file=sys.stderr)
    if done.returncode:
        raise SystemExit(f"{what} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
