"""The same films, stored otherwise: how far a reader's answers move."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucency.data.record import Films
from lucency.data.squares import attempts
from lucency.errors import FilmError, SourceError
from lucency.reader import Reader


@dataclass(frozen=True)
class Moved:
    """|logit of one copy - logit of the other| over the films that both folders hold."""

    films: int
    mean: float
    largest: float


def pair_up(reader: Reader, films: Films, others: Films) -> Moved:
    """Read films of the same name in two editions, such as at original resolution and as squares of 224 pixels.

    Raises:
        SourceError: no name is in both, or one of the pair cannot be read.
    """
    theirs = {Path(record.name).stem: index for index, record in enumerate(others.records)}
    ours = {stem: index for index, record in enumerate(films.records) if (stem := Path(record.name).stem) in theirs}
    if not ours:
        raise SourceError(f"expected films of the same names in both folders, found none among {len(others)} others")
    one = _logits(reader, films.pick(list(ours.values())))
    moved = np.abs(one - _logits(reader, others.pick([theirs[stem] for stem in ours])))
    return Moved(len(ours), float(moved.mean()), float(moved.max()))


def _logits(reader: Reader, films: Films) -> np.ndarray:
    squares = []
    for came in attempts(films, reader.preprocess):
        if isinstance(came, FilmError):
            raise SourceError(f"a film of the pairs cannot be read: {came}")
        squares.append(came)
    return reader.read_batch(np.stack(squares)).logits[:, 0]
