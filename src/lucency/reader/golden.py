"""Does a bundle still give its golden answers here? The same check that every port makes of itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.bundle import Bundle, open_bundle, verify
from lucency.bundle.golden import GOLDEN, Golden, GoldenFilm, parse_golden
from lucency.errors import BundleError
from lucency.film import open_film
from lucency.reader.outputs import Squares
from lucency.reader.reader import Reader


@dataclass(frozen=True)
class Agreement:
    """How far this machine's answers are from a bundle's golden ones: largest absolute differences."""

    films: int
    logit: float
    probability: float
    map: float
    doubt: float


def verify_golden(path: Path) -> Agreement | None:
    """Check every byte of a bundle, then its answers.

    Returns:
        how far its answers are from the golden ones; None where it holds none (a run).

    Raises:
        BundleError: the first thing that is wrong.
    """
    card = verify(path)
    if GOLDEN not in card.files:
        return None
    bundle = open_bundle(path)
    golden = parse_golden(bundle.read(GOLDEN), str(path))
    reader = Reader(bundle)
    found = agreement(reader, golden, prepared(bundle, reader, golden))
    for name in ("logit", "probability", "map", "doubt"):
        away, allowed = getattr(found, name), getattr(golden.tolerance, name)
        if not away <= allowed:
            raise BundleError(
                f"{path}: the {name} of its golden films is off by {away:.2g} here, expected at most {allowed:g}; "
                "this machine's runtime does not read it faithfully"
            )
    return found


def prepared(bundle: Bundle, reader: Reader, golden: Golden) -> Squares:
    """The golden films as squares, uint8 (n, side, side), each met in every byte.

    Raises:
        BundleError: preprocessing gives other bytes than the bundle's.
    """
    return np.stack([_square(bundle, reader, film) for film in golden.films])


def agreement(reader: Reader, golden: Golden, squares: Squares) -> Agreement:
    """How far the reader's answers for the golden films are from the golden ones."""
    answers = reader.read_batch(squares)
    pairs: dict[str, tuple[NDArray[np.floating], list[Any]]] = {
        "logit": (answers.logits, [film.logits for film in golden.films]),
        "probability": (answers.probabilities, [film.probabilities for film in golden.films]),
        "map": (answers.maps, [film.maps for film in golden.films]),
        "doubt": (answers.doubts, [film.doubts for film in golden.films]),
    }
    away = {}
    for name, (here, there) in pairs.items():
        expected = _array(there, f"{reader.bundle.path}: {GOLDEN}")
        if expected.shape != here.shape:
            raise BundleError(f"{reader.bundle.path}: {GOLDEN} has {name} of shape {expected.shape}, not {here.shape}")
        away[name] = float(np.abs(here - expected).max(initial=0.0))
    return Agreement(films=len(squares), **away)


def _array(numbers: list[Any], where: str) -> NDArray[np.float64]:
    try:
        return np.array(numbers, dtype=np.float64)
    except ValueError as error:
        raise BundleError(f"{where} is not valid: its films have answers of several shapes") from error


def _square(bundle: Bundle, reader: Reader, film: GoldenFilm) -> Squares:
    here = reader.preprocess(open_film(bundle.read(film.film), film.film))
    with Image.open(io.BytesIO(bundle.read(film.square))) as image:
        there = np.asarray(image)
    if here.shape != there.shape or (here != there).any():
        raise BundleError(f"{bundle.path}: preprocessing {film.film} does not give {film.square} here; see --help")
    return here
