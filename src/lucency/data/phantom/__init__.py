"""Drawn chest films whose lesions are known to the pixel, for tests, the demo and the evaluation of explainers.

A frontal chest is drawn structure by structure as the opacity that the beam meets, then exposed like a film. A
pneumonia takes air away from the lungs and changes nothing else: films with and without it, drawn from the same seed,
differ by the lesion alone, so there is no shortcut between them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.data import csv_table
from lucency.data.dataset import Dataset, Sample
from lucency.data.phantom.anatomy import Anatomy, Floats, draw_anatomy, draw_view, place
from lucency.data.phantom.chest import KINDS, SEEN, Lesion, air_lost, draw_lesion, render
from lucency.errors import SourceError
from lucency.files import write_bytes, write_text
from lucency.film import Film
from lucency.progress import track

__all__ = ["KINDS", "SEEN", "Phantom", "draw", "read", "recognises", "write_phantoms"]

LABELS = ("normal", "pneumonia")
ROOT = re.compile(r"phantom:(?P<count>\d+)(:(?P<seed>\d+))?")
TABLE = "phantoms.csv"
MOST = 1_000_000
"""Films that are listed at once."""
ILL = (False, True, False, True, True)
"""Which of five patients have pneumonia. Numbers are no shortcut: films depend on them through the seed only."""
FILMS = ((1, 0.8), (2, 0.12), (3, 0.06), (4, 0.02))
"""How many films a patient has, and how often: 1.3 on average."""


@dataclass(frozen=True)
class Case:
    """One film to draw."""

    seed: int
    patient: int
    take: int

    @property
    def ill(self) -> bool:
        """Whether the patient has pneumonia."""
        return ILL[self.patient % len(ILL)]

    @property
    def who(self) -> str:
        """The patient's id."""
        return f"phantom-{self.patient:04d}"

    @property
    def name(self) -> str:
        """The film's name."""
        return f"{self.who}-{self.take}.png"

    @property
    def columns(self) -> dict[str, str]:
        """Which pneumonia, and what caused it."""
        if not self.ill:
            return {"lesion": "none", "cause": "none"}
        lesion = pneumonia((self.seed, self.patient))
        return {"lesion": lesion.kind, "cause": lesion.cause}

    def film(self) -> Film:
        """Draw the film."""
        return Film(draw((self.seed, self.patient), self.ill, take=self.take).film, name=self.name)

    def lesion(self) -> NDArray[np.bool_]:
        """Draw where the lesion is, bool (h, w)."""
        return draw((self.seed, self.patient), self.ill, take=self.take).lesion


def read(root: Path) -> Dataset:
    """List phantoms. None is drawn before its record is loaded; the first N of more are the same films.

    Raises:
        SourceError: N is above MOST, or `root` is neither `phantom:N`, `phantom:N:SEED` nor a folder of phantoms.
    """
    if recognises_name(root):
        count, seed = _count_and_seed(root)
        if count > MOST:
            raise SourceError(f"{root}: expected at most {MOST:,} drawn films")
        records = tuple(map(_record, cases(count, seed)))
        return Dataset(LABELS, records, source="phantom")
    if not (root / TABLE).is_file():
        raise SourceError(f"{root}: expected phantom:N, phantom:N:SEED or a folder with {TABLE}; received another root")
    return replace(csv_table.read(root / TABLE), source="phantom")


def recognises(root: Path) -> bool:
    """Whether `root` asks for phantoms or holds some."""
    return recognises_name(root) or (root / TABLE).is_file()


def recognises_name(root: Path) -> bool:
    """Whether `root` reads `phantom:N` or `phantom:N:SEED`."""
    return ROOT.fullmatch(str(root)) is not None


def cases(count: int, seed: int) -> Iterator[Case]:
    """The first `count` films of the endless series that `seed` starts."""
    patient = made = 0
    numbers, odds = zip(*FILMS, strict=True)
    while made < count:
        films = int(np.random.default_rng([seed, patient, 2]).choice(numbers, p=odds))
        for take in range(min(films, count - made)):
            yield Case(seed, patient, take)
            made += 1
        patient += 1


def write_phantoms(out: Path, count: int, seed: int = 0) -> Path:
    """Draw phantoms into a folder: films/, lesions/ and lungs/ as PNG, and a table that `csv` reads too.

    Args:
        out: the folder; made where it is missing.
        count: how many films.
        seed: which series.

    Returns:
        The table's path.

    Raises:
        OutputError: something cannot be written.
    """
    lines = []
    for case in track(cases(count, seed), "drawing phantoms", count):
        phantom = draw((seed, case.patient), case.ill, take=case.take)
        for folder, pixels in (("films", phantom.film), ("lesions", phantom.lesion), ("lungs", phantom.lungs)):
            write_bytes(out / folder / case.name, _png(pixels))
        lesion = f"lesions/{case.name}"
        lines.append([f"films/{case.name}", LABELS[case.ill], case.who, lesion, *case.columns.values()])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["path", "label", "patient", "mask", "lesion", "cause"], *lines])
    write_text(out / TABLE, text.getvalue())
    return out / TABLE


def _record(case: Case) -> Sample:
    return Sample(case.name, int(case.ill), case.film, case.who, columns=case.columns, mask=case.lesion)


def _count_and_seed(root: Path) -> tuple[int, int]:
    found = ROOT.fullmatch(str(root))
    assert found is not None
    return int(found["count"]), int(found["seed"] or 0)


def _png(pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * np.uint8(255 if pixels.dtype == np.bool_ else 1)).save(stream, "PNG")
    return stream.getvalue()


SIDE = 256
"""Rows of a phantom film where none are asked for."""


@dataclass(frozen=True)
class Phantom:
    """A drawn film and the truth about it, all (h, w)."""

    film: NDArray[np.uint8]
    """Bright = dense."""
    lesion: NDArray[np.bool_]
    """Lung pixels that have lost more than the share SEEN of their air; nowhere in a well film."""
    lungs: NDArray[np.bool_]
    """Lung beside heart and vessels and above the diaphragm, ill or not."""


def draw(seed: int | tuple[int, ...], ill: bool, side: int = SIDE, take: int = 0) -> Phantom:
    """Draw one film.

    Args:
        seed: which patient; the same seed is the same anatomy and, if ill, the same pneumonia.
        ill: whether the patient has pneumonia; nothing else of the film depends on it.
        side: rows; the film is 1 to 1.33 times as wide.
        take: which of the patient's films: each has its own placement and exposure.
    """
    anatomy, lesion = _patient(seed)
    rng = np.random.default_rng([*_words(seed), 1, take])
    view, exposure = draw_view(rng), draw_exposure(rng)
    grid = place(anatomy, view, side)
    chest = render(anatomy, view, grid)
    lost = air_lost(lesion, anatomy, chest, grid) if ill else np.zeros_like(chest.air)
    film = expose(chest.tissue - chest.air * (1 - lost), exposure, rng)
    return Phantom(film, chest.lungs & (lost > SEEN), chest.lungs)


def pneumonia(seed: int | tuple[int, ...]) -> Lesion:
    """The pneumonia that the patient drawn from `seed` has when ill."""
    return _patient(seed)[1]


def _patient(seed: int | tuple[int, ...]) -> tuple[Anatomy, Lesion]:
    rng = np.random.default_rng([*_words(seed), 0])
    anatomy = draw_anatomy(rng)
    return anatomy, draw_lesion(rng)


def _words(seed: int | tuple[int, ...]) -> tuple[int, ...]:
    return (seed,) if isinstance(seed, int) else seed


COARSE = 8
"""Scatter is smooth: it is computed on cells of this many pixels."""
LETTERS = {
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
}
"""Lead markers, seven rows of five dots."""


@dataclass(frozen=True)
class Exposure:
    """How one film was exposed, developed and framed."""

    scatter: float
    """Share of the image that is scattered light."""
    blur: float
    """Standard deviation of the detector's blur, in 256ths of the film's height."""
    noise: float
    """Standard deviation of the quantum noise behind one unit of opacity, in units of opacity."""
    black: float
    """Opacity printed black."""
    white: float
    """Opacity printed white."""
    gamma: float
    """Exponent of the tone curve."""
    border: tuple[float, float, float, float]
    """Collimated margins left, top, right, bottom, as shares of the film's side."""
    letter: str
    """Marker, or nothing."""
    letter_at: tuple[float, float]
    """Where it stands: shares of the film's width and height."""
    letter_size: float
    """Its height as a share of the film's height."""


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Draw the acquisition of a film, independently of pneumonia."""
    margins = rng.uniform(0.01, 0.07, 4) * (rng.uniform(size=4) < 0.25)
    letter = str(rng.choice(["", "R", "L"], p=[0.3, 0.6, 0.1]))
    column = rng.uniform(0.03, 0.1)
    return Exposure(
        scatter=rng.uniform(0.1, 0.3),
        blur=rng.uniform(0.5, 1.1),
        noise=rng.uniform(0.004, 0.018),
        black=rng.uniform(0.0, 0.12),
        white=rng.uniform(0.95, 1.12),
        gamma=rng.uniform(0.85, 1.35),
        border=(float(margins[0]), float(margins[1]), float(margins[2]), float(margins[3])),
        letter=letter,
        letter_at=(1 - column if letter == "L" else column, rng.uniform(0.03, 0.45)),
        letter_size=rng.uniform(0.035, 0.07),
    )


def expose(opacity: Floats, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the film.

    Args:
        opacity: float32 (h, w), 0 in the open, about 1 behind the heart.
        exposure: how.
        rng: draws the noise.

    Returns:
        uint8 (h, w), bright = dense.
    """
    from scipy.ndimage import gaussian_filter  # here, because reading and scoring films do without SciPy

    veiled = opacity + np.float32(exposure.scatter) * (_smooth(opacity) - opacity)
    # Fewer quanta reach the film behind dense tissue: their relative noise grows as exp(opacity / 2)
    grain = rng.standard_normal(opacity.shape, dtype=np.float32)
    noisy = veiled + grain * np.exp(veiled) * np.float32(exposure.noise)
    sharp = exposure.blur * opacity.shape[0] / 256
    blurred = gaussian_filter(noisy, sharp, truncate=2.5)
    tone = np.clip((blurred - exposure.black) * np.float32(1 / (exposure.white - exposure.black)), 0, 1)
    film = tone ** np.float32(exposure.gamma)
    _collimate(film, exposure)
    _mark(film, exposure)
    return np.asarray(film * np.float32(255) + np.float32(0.5), dtype=np.uint8)


def _smooth(opacity: Floats) -> Floats:
    """The opacity blurred over an eighth of the film, by way of a coarse grid."""
    from scipy.ndimage import gaussian_filter

    height, width = opacity.shape
    padded = np.pad(opacity, ((0, -height % COARSE), (0, -width % COARSE)), mode="edge")
    rows, columns = padded.shape[0] // COARSE, padded.shape[1] // COARSE
    cells = padded.reshape(rows, COARSE, columns, COARSE).mean(axis=(1, 3))
    soft = gaussian_filter(cells, rows / 8)
    across = np.repeat(soft, COARSE, axis=1)
    return np.repeat(across, COARSE, axis=0)[:height, :width]


def _collimate(film: Floats, exposure: Exposure) -> None:
    """Blacken the margins outside the beam."""
    height, width = film.shape
    left, top, right, bottom = (round(share * height) for share in exposure.border)
    film[:top] = film[height - bottom :] = 0
    film[:, :left] = film[:, width - right :] = 0


def _mark(film: Floats, exposure: Exposure) -> None:
    """Print the lead letter."""
    if not exposure.letter:
        return
    height, width = film.shape
    dots = np.array([list(row) for row in LETTERS[exposure.letter]]) == "1"
    scale = max(1, round(exposure.letter_size * height / 7))
    stamp = np.kron(dots, np.ones((scale, scale), dtype=bool))
    top = min(round(exposure.letter_at[1] * height), height - stamp.shape[0])
    left = min(max(round(exposure.letter_at[0] * width - stamp.shape[1] / 2), 0), width - stamp.shape[1])
    film[top : top + stamp.shape[0], left : left + stamp.shape[1]][stamp] = 0.97
