"""Films, data sets, runs and bundles that the commands of the docs name, for `docs_check.py`."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

SHARED = Path(os.environ.get("LUCENCY_SHARED", Path(__file__).resolve().parents[2] / "shared"))


class Missing(Exception):
    """A stand-in cannot be made here, with the reason."""


def drawn_film(place: Path) -> None:
    """A drawn film with pneumonia, in the format of the suffix."""
    from PIL import Image

    from lucency.data.phantom import draw

    if place.suffix == ".dcm":
        from pydicom.data import get_testdata_file

        shutil.copy(str(get_testdata_file("RG1_J2KI.dcm", download=False)), place)
    else:
        Image.fromarray(draw(len(place.name), ill=True).film).save(place)


def study_folder(place: Path) -> None:
    """A folder with one DICOM film."""
    place.mkdir()
    drawn_film(place / "film.dcm")


def film_folder(count: int) -> Callable[[Path], None]:
    """Drawn films under the names of the Kermany set: train/ and test/, NORMAL and PNEUMONIA."""

    def make(place: Path) -> None:
        from PIL import Image

        from lucency.data.phantom import draw

        for number in range(count):
            ill = number % 5 in (1, 3, 4)
            split = "test" if number % 4 == 3 else "train"
            cause = ("bacteria", "virus")[number // 5 % 2]
            name = f"person{number}_{cause}_{number}.jpeg" if ill else f"IM-{number:04d}-0001.jpeg"
            film = place / split / ("PNEUMONIA" if ill else "NORMAL") / name
            film.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw((0, number), ill).film).save(film, quality=92)

    return make


RECIPE = """name = "stand-in"
[data]
image_size = 64
resize_mode = "crop"
[model]
backbone = "mobilenet_v1"
width = 0.25
depth = 8
stride = 16
head = "linear"
[head]
epochs = 2
"""
SMALL = """extends = "phantom"
[finetune]
epochs = 2
"""


def written(content: str) -> Callable[[Path], None]:
    """A text file."""
    return lambda place: place.write_text(content) and None


def tiny_run(fold: int | None = None) -> Callable[[Path], None]:
    """A run of a very small network on `chest_xray`, or on the films outside a fold of three."""

    def make(place: Path) -> None:
        import lucency
        from lucency.data.splits import Fold

        films = lucency.read_dataset(made("chest_xray"))
        if fold is not None:
            films, _ = Fold(fold, 3).split(films)
        recipe = place.parent / f".{place.name}.toml"
        recipe.write_text(RECIPE)
        lucency.train(films, recipe, place)

    return make


def shipped(name: str) -> Callable[[Path], None]:
    """A copy of a bundle that ships."""

    def make(place: Path) -> None:
        from lucency.bundle import DEFAULT

        shutil.copytree(DEFAULT.with_name(name), place)

    return make


def from_shared(inside: str) -> Callable[[Path], None]:
    """What only a folder of real films and weights has."""

    def make(place: Path) -> None:
        if not (SHARED / inside).exists():
            raise Missing(f"needs {inside} (docs/data.md, docs/weights.md)")
        place.symlink_to(SHARED / inside)

    return make


def manifest(place: Path) -> None:
    """A table of four drawn films."""
    for number in range(4):
        drawn_film(place.with_name(f"listed-{number}.png"))
    place.write_text("path\n" + "".join(f"{place.parent}/listed-{number}.png\n" for number in range(4)))


STAND_INS: dict[str, Callable[[Path], None]] = {
    "film.png": drawn_film,
    "film.dcm": drawn_film,
    "films.csv": manifest,
    "studies": study_folder,
    "chest_xray": film_folder(60),
    "our_films": film_folder(60),
    "films_2023": film_folder(48),
    "films_2024": film_folder(48),
    "runs/mine": tiny_run(),
    "runs/fold-1": tiny_run(fold=1),
    "small.toml": written(SMALL),
    "bundle": shipped("int8"),
    "mobilenet_v2-b0353104.pth": from_shared("weights/mobilenet_v2-b0353104.pth"),
    "kermany224": from_shared("data/kermany224"),
}
"""Name in a command → how it is made, at that place."""


@cache
def shelf() -> Path:
    """A folder where each stand-in is made once for all pages."""
    folder = Path(tempfile.mkdtemp(prefix="docs-check-shelf-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def made(name: str) -> Path:
    """A stand-in on the shelf."""
    place = shelf() / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        STAND_INS[name](place)
    return place


def stand_in(command: str, folder: Path) -> None:
    """Copy to the folder what the command names and the folder lacks.

    Raises:
        Missing: it cannot be made here.
    """
    for name in STAND_INS:
        place = folder / name
        if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", command) and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            if made(name).is_dir() and not made(name).is_symlink():
                shutil.copytree(made(name), place)
            else:
                shutil.copy2(made(name), place, follow_symlinks=False)
