"""Golden answers: drawn films inside a bundle, with what its network says of them, for every port to check itself."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from lucency.bundle.card import FileName, Part
from lucency.errors import BundleError

FOLDER = "golden"
GOLDEN = f"{FOLDER}/golden.json"

Small = Annotated[float, Field(gt=0)]


class Tolerance(Part):
    """How far a port's answers may be from these: they add up differently on another processor."""

    logit: Small
    probability: Small
    map: Small
    """In logits, for any cell."""
    doubt: Small


class GoldenFilm(Part):
    """One film and the answers."""

    film: FileName
    """The film as it comes: a gray PNG of 8 bits."""
    square: FileName
    """What docs/preprocessing.md makes of it: a gray PNG of side × side, to be met in every byte."""
    logits: tuple[float, ...]
    """One a finding, before calibration."""
    probabilities: tuple[float, ...]
    """One a finding, by the card's calibration."""
    maps: tuple[tuple[tuple[float, ...], ...], ...]
    """One a finding, rows from the top, signed, in logits."""
    doubts: tuple[float, ...] = ()
    """One for each check of the card's gate."""


class Golden(Part):
    """golden/golden.json."""

    version: Literal[1] = 1
    tolerance: Tolerance
    films: Annotated[tuple[GoldenFilm, ...], Field(min_length=1)]


def golden_bytes(golden: Golden) -> bytes:
    """The file as it is written."""
    return (golden.model_dump_json(indent=1) + "\n").encode()


def parse_golden(content: bytes, where: str) -> Golden:
    """The golden answers of a bundle; `where` opens the message.

    Raises:
        BundleError: not JSON, or not what docs/bundle.md says.
    """
    from lucency.bundle.read import complaint

    try:
        return Golden.model_validate(json.loads(content))
    except ValidationError as error:
        raise BundleError(f"{where}: {GOLDEN} {complaint(dict(error.errors()[0]))}") from error
    except ValueError as error:
        raise BundleError(f"{where}: {GOLDEN} is not JSON ({error}); get the bundle again") from error
