"""What the gate lets in and keeps out: `python benchmarks/gate.py --runs runs/kermany --data kermany224 [--dicom DIR]`.

Films held out from a fold (false alarms), the same films turned, inverted and spoiled, photographs of scikit-image,
drawn phantoms, blank pictures, and DICOM files given: the share that each check refuses, and any of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from folds import drawn, held
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.data.dataset import decode_squares
from lucency.data.phantom import draw
from lucency.evaluate.confidence_intervals import proportion_interval
from lucency.evaluate.recalibration import RecalibrationConfig
from lucency.film import Film, open_film
from lucency.preprocess import Preprocess
from lucency.progress import track
from lucency.reader import Reader
from lucency.reader.input_checks import check_input
from lucency.reader.outputs import failed_checks

Squares = NDArray[np.uint8]


def pictured(change: Callable[[Image.Image], Image.Image]) -> Callable[[Squares], Squares]:
    return lambda films: np.stack([np.asarray(change(Image.fromarray(film))) for film in films])


SPOILED: dict[str, Callable[[Squares], Squares]] = {
    "inverted": lambda films: 255 - films,
    "upside down": lambda films: films[:, ::-1],
    "turned left": lambda films: np.rot90(films, 1, (1, 2)),
    "turned right": lambda films: np.rot90(films, 3, (1, 2)),
    "upside down and mirrored": lambda films: films[:, ::-1, ::-1],
    "mirrored": lambda films: films[:, :, ::-1],
    "rotated by 10°": pictured(lambda film: film.rotate(10)),
    "rotated by 20°": pictured(lambda film: film.rotate(20)),
    "rotated by 45°": pictured(lambda film: film.rotate(45)),
    "one quarter of the film": pictured(
        lambda film: film.crop((0, 0, film.width // 2, film.height // 2)).resize(film.size)
    ),
    "blurred, sigma 4 of 160": pictured(lambda film: film.filter(ImageFilter.GaussianBlur(4 * film.width / 160))),
}


def photographs() -> Iterator[Film]:
    """The pictures that scikit-image carries."""
    import skimage

    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        if path.suffix in (".png", ".jpg"):
            yield Film(np.asarray(Image.open(path).convert("L")), name=path.name)


def blanks() -> Iterator[Film]:
    rng = np.random.default_rng(0)
    for gray in (0, 128, 255):
        yield Film(np.full((300, 300), gray, np.uint8))
    yield Film(rng.integers(0, 256, (300, 300)).astype(np.uint8))
    yield Film(np.tile(np.linspace(0, 255, 300).astype(np.uint8), (300, 1)))


def line(reader: Reader, name: str, squares: Squares, groups: NDArray[np.int64] | None = None) -> None:
    """The share refused by each check, and by any with its 95 % interval; by default each film is a patient."""
    fails = failed_checks(reader.card, reader.read_batch(np.ascontiguousarray(squares)))
    shares = "".join(f"{share:12.1%}" for share in fails.mean(axis=0))
    everyone = np.arange(len(squares)) if groups is None else groups
    low, high = proportion_interval(fails.any(axis=1), np.ones(len(squares), dtype=bool), everyone)
    print(f"{name:26}{len(squares):6}{shares}{fails.any(axis=1).mean():10.1%} ({low:.1%} to {high:.1%})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--dicom", type=Path)
    parser.add_argument("--held", type=int, default=2000, help="films held out; 0 for all")
    parser.add_argument("--most", type=int, default=200, help="films spoiled; 0 for all")
    options = parser.parse_args()
    fold = held(options.runs, options.data, options.fold, options.folds, RecalibrationConfig())
    reader = fold.reader
    prepare: Preprocess = reader.preprocess
    checks = "".join(f"{check.name:>12}" for check in reader.card.gate.checks)
    print(f"fold {options.fold}: gate {reader.card.gate.fitted_on}\n{'':26}{'films':>6}{checks}{'any':>10}")
    plain, some = drawn(fold.films, options.held), drawn(fold.films, options.most)
    line(reader, "held out, as they are", np.stack(decode_squares(plain, prepare).pixels), plain.groups())
    squares, groups = np.stack(decode_squares(some, prepare).pixels), some.groups()
    for name, change in track(SPOILED.items(), "spoiling films", total=len(SPOILED)):
        line(reader, name, change(squares), groups)
    line(reader, "photographs", np.stack([prepare(film) for film in photographs()]))
    line(reader, "blank, noise, ramp", np.stack([prepare(film) for film in blanks()]))
    line(reader, "phantoms", np.stack([prepare(Film(draw(k, k % 2 == 0, side=320).film)) for k in range(40)]))
    for path in sorted(options.dicom.iterdir()) if options.dicom else ():
        film = open_film(path)
        reading = reader.read(film)
        warnings = "; ".join(doubt.words for doubt in check_input(film, reader.card)) or "nothing in its header"
        numbers = reader.read_batch(prepare(film)[None]).doubts[0]
        failed = [
            f"{check.name} {number:.1f} (limit {check.limit:.1f})"
            for check, number in zip(reader.card.gate.checks, numbers, strict=True)
            if number > check.limit
        ]
        print(f"{path.name}: {reading.verdict}; gate: {', '.join(failed) or 'passes'}; {warnings}")


if __name__ == "__main__":
    main()
