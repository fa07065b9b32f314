"""Every error that lucency raises on purpose.

    class                     code            exit code
    LucencyError              error           1
    ├── UsageError            usage           2   an option or argument makes no sense
    │   ├── RecipeError       recipe              a recipe has an unknown setting or a bad value
    │   └── ExtraError        extra               an optional dependency is not installed
    ├── FilmError             film            3   a film cannot be read
    ├── SourceError           source          4   a data set cannot be trained or evaluated on
    ├── WeightsError          weights         5   pretrained weights are missing, wrong or truncated
    ├── TrainingError         training        6   training cannot start, continue or resume
    ├── BundleError           bundle          7   a bundle or run is broken, altered, or from a newer lucency
    ├── ExportError           export          8   a network cannot be written for its target
    ├── ExplainError          explain         9   an explainer does not support this network or film
    └── OutputError           output          10  a result cannot be written: full disk, no permission

A message is one line: what was expected, what came, what to do. It may be reworded at any time; programs read `code`,
which stays. An error may carry a finer code than its class: FilmError has the FILM_* codes below.
The command line prints the message and exits with the class's exit code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

SOME_UNREADABLE = 3
"""Exit code where some films could not be read and the others were."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""

FILM_MISSING = "film_missing"
"""No such file, or one that may not be opened."""
FILM_DAMAGED = "film_damaged"
"""A known format that its decoder gives up on."""
FILM_UNSUPPORTED = "film_unsupported"
"""A whole file, but of a kind that is not read."""
FILM_TOO_LARGE = "film_too_large"
"""More pixels or bytes than are read."""
FILM_CONFLICT = "film_conflict"
"""Another film has the same UID."""
OUTPUT_LOCKED = "output_locked"
"""Another process of lucency writes to the same folder."""
RECALIBRATION_WORSE = "recalibration_worse"
"""A recalibration that loses on other patients, which is not written unasked."""
FILMS_MISSING = "films_missing"
"""A data set of which too many films were left out."""


EXTRAS = {
    **dict.fromkeys(("scipy", "sklearn", "threadpoolctl", "matplotlib", "jinja2", "google_crc32c"), "evaluate"),
    **dict.fromkeys(("torch", "lightning", "captum", "safetensors"), "train"),
    **dict.fromkeys(("litert_torch", "ai_edge_quantizer", "onnxscript"), "export"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "python_multipart", "prometheus_client"), "serve"),
    **dict.fromkeys(("pynetdicom", "highdicom", "dicomweb_client"), "dicom"),
    **dict.fromkeys(("pyarrow", "fsspec"), "score"),
    "onnxruntime": "onnx",
    "rapidocr": "deid",
    "h5py": "keras",
    "cryptography": "sign",
    "huggingface_hub": "hub",
    "ray": "ray",
    "optuna": "tune",
    "pandas": "notebook",
}
"""Module that the base install leaves out → the extra that brings it."""


class LucencyError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: one line for a person.
        code: a finer code than the class's.
    """

    exit_code: ClassVar[int] = 1
    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def prefixed(self, name: str) -> Self:
        """The same error with `name: ` in front of its message."""
        error = type(self)(f"{name}: {self}")
        error.__dict__.update(self.__dict__)
        return error


class UsageError(LucencyError):
    """An option or argument makes no sense."""

    exit_code = 2
    code = "usage"


class RecipeError(UsageError):
    """A recipe has an unknown setting or a value out of range."""

    code = "recipe"


class ExtraError(UsageError):
    """An optional dependency is not installed. The message names the extra that brings it."""

    code = "extra"

    @classmethod
    def for_module(cls, name: str | None, extra: str | None = None) -> Self | None:
        """The error for a module that cannot be imported; None where no extra brings it.

        Args:
            name: of the module.
            extra: what the command as a whole needs, where it is more than `evaluate`, which several extras contain.
        """
        package = (name or "").partition(".")[0]
        if package not in EXTRAS:
            return None
        brings = EXTRAS[package]
        return cls(
            f"this needs {package}: pip install 'lucency[{extra if extra and brings == 'evaluate' else brings}]'"
        )


@contextmanager
def name_extra(extra: str | None = None) -> Iterator[None]:
    """Answer a missing optional dependency inside the block with the extra that brings it.

    Raises:
        ExtraError: a module that an extra brings cannot be imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraError.for_module(error.name, extra) or error from error


class FilmError(LucencyError):
    """A film cannot be read. The message names the file, what was found and what would be accepted.

    Args:
        message: one line for a person.
        code: one of the FILM_* codes.
        found: what the file holds, for protocols that have no room for the message.
    """

    exit_code = 3
    code = "film"
    found: str = ""

    def __init__(self, message: str = "", *, code: str | None = None, found: str = "") -> None:
        super().__init__(message, code=code)
        self.found = found


class SourceError(LucencyError):
    """A data set cannot be read, trained or evaluated on."""

    exit_code = 4
    code = "source"


class WeightsError(LucencyError):
    """Pretrained weights are missing, truncated, altered or made for another network."""

    exit_code = 5
    code = "weights"


class TrainingError(LucencyError):
    """Training cannot start, continue or resume."""

    exit_code = 6
    code = "training"


class BundleError(LucencyError):
    """A bundle or run is incomplete, altered, or written by a newer lucency."""

    exit_code = 7
    code = "bundle"


class ExportError(LucencyError):
    """A network cannot be written for its target."""

    exit_code = 8
    code = "export"


class ExplainError(LucencyError):
    """An explainer does not support this network or film."""

    exit_code = 9
    code = "explain"


class OutputError(LucencyError):
    """A result cannot be written."""

    exit_code = 10
    code = "output"
