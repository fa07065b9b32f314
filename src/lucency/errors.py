"""Everything lucency raises on purpose, drawn once.

    LucencyError                exit code 1
    ├── UsageError              2   an option or argument makes no sense
    │   └── RecipeError             a recipe is wrong: unknown setting, bad value
    ├── RadiographError         3   a film cannot be read: which file, what came, what is accepted
    ├── SourceError             4   a folder of films cannot be learned from or judged on
    ├── WeightsError            5   pretrained weights are missing, wrong or truncated
    ├── TrainingError           6   training cannot start, go on or resume
    ├── BundleError             7   a bundle or run is broken, altered, or from a newer lucency
    ├── ExportError             8   a network cannot be written for its target
    ├── ExplainError            9   an explainer cannot answer for this network or film
    └── OutputError             10  a result cannot be written: full disk, no permission

Every message is one line: what was expected, what came, what to do. The command line prints it and leaves
with the exit code; Ctrl-C leaves with 130.
"""

from __future__ import annotations


class LucencyError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UsageError(LucencyError):
    """An option or argument makes no sense."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe holds an unknown setting or a value out of range."""


class RadiographError(LucencyError):
    """A film cannot be read. The message names the file, what was found and what would be accepted."""

    exit_code = 3


class SourceError(LucencyError):
    """A data set cannot be read, learned from or judged on."""

    exit_code = 4


class WeightsError(LucencyError):
    """Pretrained weights are missing, truncated, altered or made for another network."""

    exit_code = 5


class TrainingError(LucencyError):
    """Training cannot start, go on or resume."""

    exit_code = 6


class BundleError(LucencyError):
    """A bundle or run is incomplete, altered, or written by a newer lucency."""

    exit_code = 7


class ExportError(LucencyError):
    """A network cannot be written for its target."""

    exit_code = 8


class ExplainError(LucencyError):
    """An explainer cannot answer for this network or film."""

    exit_code = 9


class OutputError(LucencyError):
    """A result cannot be written."""

    exit_code = 10
