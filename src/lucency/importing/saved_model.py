"""A SavedModel as a file that is imported: a child process converts it, in a Python that has TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from lucency.errors import ExtraError, WeightsError
from lucency.files import scratch
from lucency.importing.imported import read_model

CHILD = Path(__file__).with_name("saved_model_child.py")
SECONDS = 900
"""That TensorFlow may take; a MobileNet takes a few seconds of processor time."""
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables of the environment that the child gets: no token or proxy is among them."""
QUIET = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def is_saved_model(path: Path) -> bool:
    """Whether it is a folder as TensorFlow saves."""
    return (path / "saved_model.pb").is_file()


def convert(path: Path, python: Path | str | None = None) -> tuple[bytes, str]:
    """The content and suffix of the file that a SavedModel becomes: `.h5` if Keras 2 described it, else `.tflite`.

    Args:
        path: the SavedModel. TensorFlow loads what is no `.h5`, and a graph can read and write files: it gets bounded
            memory and time, and no network where Linux allows that, but it is no jail.
        python: one that has TensorFlow; by default this one.

    Raises:
        ExtraError: no TensorFlow there.
        WeightsError: TensorFlow cannot load or convert it, or not in time.
    """
    if python is None and find_spec("tensorflow") is None:
        raise ExtraError(
            f"{path}: TensorFlow reads a SavedModel, and this Python has none; name one that has it by --tensorflow "
            "PYTHON, or save the network where it was made with model.save('model.keras')"
        )
    print(f"{path}: TensorFlow converts it, for at most {SECONDS // 60} minutes", file=sys.stderr)
    with scratch() as folder:
        out = folder / "model"
        _run([str(python or sys.executable), "-I", str(CHILD), str(path.resolve()), str(out)], folder, path)
        found = next(out.with_suffix(suffix) for suffix in (".h5", ".tflite") if out.with_suffix(suffix).is_file())
        return read_model(found), found.suffix


def _run(command: list[str], folder: Path, path: Path) -> None:
    own = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {**own, **QUIET, "HOME": str(folder), "TMPDIR": str(folder)}
    log = folder / "log"
    with log.open("wb") as stream:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise WeightsError(f"{path}: TensorFlow has not converted it within {SECONDS} s") from error
        except OSError as error:
            raise ExtraError(f"{command[0]}: expected a Python with TensorFlow ({error.strerror})") from error
    last = log.read_bytes()[-400:].decode(errors="replace").strip().rpartition("\n")[2][:200]
    if last.startswith("ModuleNotFoundError"):
        raise ExtraError(f"{command[0]}: expected a Python with TensorFlow ({last})")
    if done.returncode:
        raise WeightsError(f"{path}: TensorFlow cannot convert it ({last or f'exit {done.returncode}'})")
