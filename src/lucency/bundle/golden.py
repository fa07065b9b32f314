"""Golden outputs: drawn films inside a bundle with its network's outputs for them, so that a port can check itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lucency.bundle.card import FileName, Part
from lucency.bundle.store import AGAIN, describe_invalid
from lucency.errors import BundleError
from lucency.files import parse_json

FOLDER = "golden"
GOLDEN = f"{FOLDER}/golden.json"

Positive = Annotated[float, Field(gt=0)]


class Tolerance(Part):
    """Largest differences allowed of a port: sums round differently on other processors."""

    logit: Positive
    probability: Positive
    map: Positive
    """In logits, for any cell."""
    doubt: Positive


class GoldenFilm(Part):
    """One film and the outputs for it."""

    film: FileName
    """The film as it comes: a PNG of 8 bits, gray or RGB as the card's preprocessing."""
    square: FileName
    """The film preprocessed (docs/preprocessing.md), a PNG of side × side, to be reproduced in every byte."""
    logits: tuple[float, ...]
    """One per finding, before calibration."""
    probabilities: tuple[float, ...]
    """One per finding, by the card's calibration."""
    maps: tuple[tuple[tuple[float, ...], ...], ...]
    """One per finding, rows from the top, signed, in logits."""
    doubts: tuple[float, ...] = ()
    """One for each check of the card's gate."""


class Golden(Part):
    """golden/golden.json."""

    version: Literal[1] = 1
    tolerance: Tolerance
    films: Annotated[tuple[GoldenFilm, ...], Field(min_length=1)]


def golden_bytes(golden: Golden) -> bytes:
    """The content of golden.json."""
    return (golden.model_dump_json(indent=1) + "\n").encode()


def parse_golden(content: bytes, where: str) -> Golden:
    """The golden outputs of a bundle; `where` opens the message.

    Raises:
        BundleError: not JSON, or not valid by docs/bundle.md.
    """
    try:
        return Golden.model_validate(parse_json(content))
    except ValidationError as error:
        raise BundleError(f"{where}: {GOLDEN} {describe_invalid(error)}") from error
    except ValueError as error:
        raise BundleError(f"{where}: {GOLDEN} is not JSON ({error}); {AGAIN}") from error
