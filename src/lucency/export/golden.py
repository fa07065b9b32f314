"""Write golden answers: phantoms, never a patient's film, and what the exported file itself says of them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.bundle import Card
from lucency.bundle.golden import FOLDER, GOLDEN, Golden, GoldenFilm, Tolerance, golden_bytes
from lucency.data.phantom import draw
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.reader.outputs import Engine, Outputs

FILMS = {"normal": (11, False), "pneumonia": (11, True), "normal-2": (12, False), "pneumonia-2": (13, True)}
"""Name → (seed, ill). The first two differ by the pneumonia alone."""
ROWS = 320
"""Of a drawn film; enough to be reduced, little enough to ship."""
FLOAT = Tolerance(logit=1e-3, probability=1e-3, map=1e-2, doubt=1e-2)
INT8 = Tolerance(logit=0.5, probability=0.1, map=2.0, doubt=0.25)
"""Other kernels round the last bit otherwise, and it is carried through the layers. Of two int8 files' golden films,
LiteRT's own kernels and its reference kernels were at most 0.46, 0.094, 1.43 and 0.14 from XNNPACK, which itself gave
the same bits on one, two and four threads (benchmarks/kernels.py)."""


def drawn(card: Card) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Name → (film (h, w), square (side, side)), both uint8."""
    preprocess = Preprocess.from_json(card.preprocess.model_dump())
    films = {name: draw(seed, ill, side=ROWS).film for name, (seed, ill) in FILMS.items()}
    return {name: (film, preprocess(Film(film, name=name))) for name, film in films.items()}


def golden_files(card: Card, engine: Engine) -> dict[str, bytes]:
    """The files of a bundle's golden folder, answered by `engine`, an opened network of the bundle."""
    pairs = drawn(card)
    answers = engine.batch(np.stack([square for _, square in pairs.values()]))
    files = {}
    for name, (film, square) in pairs.items():
        files[f"{FOLDER}/{name}.png"] = png(film)
        files[f"{FOLDER}/{name}.square.png"] = png(square)
    films = tuple(_film(name, answers, row) for row, name in enumerate(pairs))
    golden = Golden(tolerance=INT8 if card.model.quantize == "int8" else FLOAT, films=films)
    return {**files, GOLDEN: golden_bytes(golden)}


def _film(name: str, answers: Outputs, row: int) -> GoldenFilm:
    return GoldenFilm(
        film=f"{FOLDER}/{name}.png",
        square=f"{FOLDER}/{name}.square.png",
        logits=answers.logits[row].tolist(),
        probabilities=answers.probabilities[row].tolist(),
        maps=answers.maps[row].tolist(),
        doubts=answers.doubts[row].tolist(),
    )


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A gray PNG of 8 bits."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
