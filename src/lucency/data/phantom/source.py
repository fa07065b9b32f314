"""Phantoms as a data set: `phantom:N`, `phantom:N:SEED`, or a folder that `write_phantoms` filled."""

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
from lucency.data.phantom.drawing import draw, pneumonia
from lucency.data.record import Films, Record
from lucency.errors import SourceError
from lucency.files import write_bytes, write_text
from lucency.film import Film
from lucency.progress import track

LABELS = ("normal", "pneumonia")
ROOT = re.compile(r"phantom:(?P<count>\d+)(:(?P<seed>\d+))?")
TABLE = "phantoms.csv"
ILL = (False, True, False, True, True)
"""Who of five patients is ill. Numbers are no shortcut: nothing drawn depends on them but through the seed."""
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


def read(root: Path) -> Films:
    """List phantoms. None is drawn before its record is loaded; the first N of more are the same films.

    Raises:
        SourceError: `root` is neither `phantom:N` nor `phantom:N:SEED` nor a folder of written phantoms.
    """
    if recognises_name(root):
        records = tuple(map(_record, cases(*_count_and_seed(root))))
        return Films(LABELS, records, source="phantom")
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


def _record(case: Case) -> Record:
    return Record(case.name, int(case.ill), case.film, case.who, columns=case.columns, mask=case.lesion)


def _count_and_seed(root: Path) -> tuple[int, int]:
    found = ROOT.fullmatch(str(root))
    assert found is not None
    return int(found["count"]), int(found["seed"] or 0)


def _png(pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * np.uint8(255 if pixels.dtype == np.bool_ else 1)).save(stream, "PNG")
    return stream.getvalue()
