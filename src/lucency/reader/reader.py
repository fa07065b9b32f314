"""Reader: a bundle that reads films; and the check, made by every port too, that it gives its golden answers here."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.bundle import DEFAULT, Bundle, Card, open_bundle, verify
from lucency.bundle.card import Format
from lucency.bundle.store import GOLDEN, Golden, GoldenFilm, parse_golden
from lucency.errors import BundleError, FilmError
from lucency.film import Film, as_film, open_film
from lucency.lungs import lung_outline
from lucency.modality import MODALITIES
from lucency.prefetch import prefetch
from lucency.preprocess import Preprocess
from lucency.reader.coreml import open_coreml
from lucency.reader.engines import has_adapter, open_foreign, open_litert, open_onnx, open_torch
from lucency.reader.input_checks import check_input
from lucency.reader.outputs import Engine, Floats, Outputs, Squares, failed_checks, numbers
from lucency.reader.reading import Reading, reading

if TYPE_CHECKING:
    from lucency.film.film import FilmLike


ENGINES: dict[Format, Callable[[Bundle, int], Engine]] = {
    "litert": open_litert,
    "onnx": open_onnx,
    "coreml": open_coreml,
    "torch": open_torch,
}
"""The card's model format → how such a file is opened: (bundle, threads) → engine."""

Kept = TypeVar("Kept")
IN_FLIGHT = 8
"""Films in work per thread, at most: memory stays bounded however many there are."""


def with_age(film: Film, years: float | None) -> Film:
    """The film stating this age of its patient; unchanged where None."""
    return film if years is None else replace(film, facts={**film.facts, "age": f"{int(years)}Y"})


class Reader:
    """Reads films with a bundle or run. May be shared between threads.

    >>> reader = Reader.open()
    >>> reader.read(film).verdict
    'pneumonia'
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        """Open the bundle's network; `threads` films are read side by side in a batch or a stream."""
        self.bundle = bundle
        self.threads = threads
        self.preprocess = Preprocess.from_json(bundle.card.preprocess.model_dump())
        opened = open_foreign if has_adapter(bundle.card) else ENGINES[bundle.card.model.format]
        self._engine = opened(bundle, threads)

    @classmethod
    def open(cls, path: str | Path | None = None, threads: int = 1) -> Reader:
        """Open the bundle or run at `path`, a directory or a .zip; without a path the one that ships with lucency.

        Raises:
            BundleError: missing, altered, from a newer lucency, or in need of a library that is not installed.
        """
        if path is None and not DEFAULT.is_dir():
            raise BundleError("this lucency ships no bundle; name one with --bundle DIR")
        return cls(open_bundle(Path(path or DEFAULT)), threads)

    def __repr__(self) -> str:
        card = self.card
        return f"<Reader {self.bundle.path}: {card.name} ({card.model.format}), {' or '.join(card.labels)}>"

    @property
    def card(self) -> Card:
        """What the bundle says of itself."""
        return self.bundle.card

    @property
    def has_map(self) -> bool:
        """Whether the network gives a map; one that was imported as .onnx or .tflite gives none."""
        return not has_adapter(self.card)

    def lung_outline(self, film: Film) -> Floats | None:
        """Where lungs are on a film, as `lucency.paint.overlay` takes it; None for pictures that show none."""
        return lung_outline(film.gray8()) if MODALITIES[self.card.modality].lungs else None

    def read(self, film: FilmLike, age: float | None = None) -> Reading:
        """Read one film.

        Args:
            film: a path, bytes, an open file, a PIL image, a uint8 or uint16 array (bright = dense), a pydicom data set
                or a `Film`.
            age: of the patient in years, where the film does not state it; outside those learned from it is a doubt.

        Raises:
            FilmError: it cannot be read; the message says what would be accepted.
            BundleError: the network's answer is not a number.
        """
        opened = with_age(as_film(film), age)
        return self._reading(opened, self._engine.batch, opened)

    def read_batch(self, squares: Squares) -> Outputs:
        """Outputs for films that are prepared already, uint8 (n, side, side) or (n, side, side, 3), n > 0.

        Raises:
            BundleError: an answer is not a number.
        """
        return numbers(self._engine.batch(squares))

    def read_many(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Reading | FilmError]]:
        """Read files in order, `threads` side by side; a bad film yields its error and costs no other."""
        yield from self._read_many(paths, lambda _, reading: reading)

    def read_films(
        self, paths: Iterable[Path], age: float | None = None
    ) -> Iterator[tuple[Path, tuple[Film, Reading] | FilmError]]:
        """The same with each film, for whoever draws on it: it is decoded once. `age`: of all patients, in years."""
        yield from self._read_many(paths, lambda film, reading: (film, reading), age)

    def _read_many(
        self, paths: Iterable[Path], kept: Callable[[Film, Reading], Kept], age: float | None = None
    ) -> Iterator[tuple[Path, Kept | FilmError]]:
        def attempt(path: Path) -> tuple[Path, Kept | FilmError]:
            try:
                film = with_age(open_film(path), age)
                return path, kept(film, self._reading(film, self._engine.submit, None))
            except FilmError as error:
                return path, error

        if self.threads == 1:
            return map(attempt, paths)
        return prefetch(attempt, paths, self.threads, IN_FLIGHT * self.threads)

    def _reading(self, film: Film, engine: Callable[[Squares], Outputs], kept: Film | None) -> Reading:
        answers = numbers(engine(self.preprocess(film)[None]))
        refused = bool(failed_checks(self.card, answers).any())
        return reading(self.card, film.name, answers, 0, check_input(film, self.card, refused), kept)


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
