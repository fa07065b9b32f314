"""MedMNIST archives in two dimensions, gray or RGB, 28, 64, 128 or 224 pixels a side.

Population: pneumoniamnist holds the Kermany films (children, 4,708 + 524 + 624 as train, val, test), chestmnist NIH
ChestX-ray14 (adults, 14 findings). Films are cropped to their centre square. Patients are not named: films of one
child lie in train and in val, and dermamnist has one lesion in several splits (Abhishek et al. 2024, 2401.14497).
Citation: Yang et al. 2023, MedMNIST v2, Scientific Data 10:41. Licence: CC BY 4.0; dermamnist CC BY-NC 4.0.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lucency.data.dataset import Dataset, Sample
from lucency.data.folder import inventory, require_folder, task_of
from lucency.errors import FILM_DAMAGED, FilmError, SourceError
from lucency.film import Film

SPLITS = ("train", "val", "test")

ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)

NAMES = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "chestmnist": (
        "atelectasis",
        "cardiomegaly",
        "effusion",
        "infiltration",
        "mass",
        "nodule",
        "pneumonia",
        "pneumothorax",
        "consolidation",
        "edema",
        "emphysema",
        "fibrosis",
        "pleural",
        "hernia",
    ),
    "dermamnist": ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
    "retinamnist": ("0", "1", "2", "3", "4"),
    "bloodmnist": (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocytes",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    "breastmnist": ("malignant", "normal, benign"),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pathmnist": (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "tissuemnist": (
        "collecting duct, connecting tubule",
        "distal convoluted tubule",
        "glomerular endothelial cells",
        "interstitial endothelial cells",
        "leukocytes",
        "podocytes",
        "proximal tubule segments",
        "thick ascending limb",
    ),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}
"""Label names of the twelve archives (medmnist.INFO 3.0.2, shortened for dermamnist and bloodmnist)."""

MOST_BYTES = 13 * 2**30
"""Images of one split, unpacked in memory, at most: pathmnist at 224 pixels, the largest, has 12.6 GiB."""

_one_at_a_time = Lock()


def read(root: Path) -> Dataset:
    """Read the archive `root`, or the only .npz in the folder `root`. Images are unpacked when the first is asked for.

    Raises:
        SourceError: no archive or several, not MedMNIST, not gray, labels that do not fit, or too large.
    """
    archive = find(root)
    try:
        with zipfile.ZipFile(archive) as bundle:
            shapes = {split: _shape(archive, bundle, split) for split in SPLITS}
        with np.load(archive, allow_pickle=False) as arrays:
            labels = {split: _labels(archive, arrays[f"{split}_labels"], shapes[split]) for split in SPLITS}
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise SourceError(f"{archive}: expected a whole MedMNIST archive, found a broken one ({error})") from error
    names = _names(archive, np.concatenate(list(labels.values())))
    if names == NAMES["breastmnist"]:  # the only one whose finding is 0
        names, labels = names[::-1], {split: 1 - rows for split, rows in labels.items()}
    many = labels["train"].shape[1] > 1
    return Dataset(
        names,
        tuple(_record(archive, split, index, row) for split in SPLITS for index, row in enumerate(labels[split])),
        "multilabel" if many else task_of(names),
        "medmnist",
        ("patients are unknown here: films of one patient may lie in several splits",),
    )


def recognises(root: Path) -> bool:
    """Whether `root` is an .npz file, or a folder with exactly one."""
    return root.suffix.lower() == ".npz" if root.is_file() else len(_archives(root)) == 1


def find(root: Path) -> Path:
    """The archive meant by `root`.

    Raises:
        SourceError: nothing there, or not exactly one archive in the folder.
    """
    if root.is_file():
        return root
    require_folder(root)
    archives = _archives(root)
    if len(archives) != 1:
        found = f"found {', '.join(path.name for path in archives)}" if archives else inventory(root)
        raise SourceError(f"{root}: expected one MedMNIST archive (.npz); {found}; name the archive itself")
    return archives[0]


def _archives(root: Path) -> list[Path]:
    return sorted(root.glob("*.npz")) if root.is_dir() else []


def _shape(archive: Path, bundle: zipfile.ZipFile, split: str) -> tuple[int, ...]:
    """Shape of a split's images, from the header alone."""
    if f"{split}_images.npy" not in bundle.namelist():
        found = ", ".join(name.removesuffix(".npy") for name in bundle.namelist()[:8]) or "nothing"
        raise SourceError(f"{archive}: expected train_images, train_labels, val_… and test_…, found {found}")
    with bundle.open(f"{split}_images.npy") as stream:
        version = npy.read_magic(stream)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    if shape[3:] not in ((), (3,)) or len(shape) < 3 or dtype != np.uint8 or 0 in shape[1:]:
        raise SourceError(
            f"{archive}: expected images, uint8 (n, side, side) or (n, side, side, 3), found {dtype} {shape} in {split}"
        )
    if int(np.prod(shape, dtype=object)) > MOST_BYTES:
        raise SourceError(f"{archive}: expected at most {MOST_BYTES >> 30} GiB of images, found {shape} in {split}")
    return tuple(shape)


def _labels(archive: Path, labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """A split's labels, int64 (n, 1) or (n, findings)."""
    rows = labels.reshape(len(labels), -1)
    if len(rows) != shape[0] or rows.dtype.kind not in "iub" or rows.shape[1] == 0:
        raise SourceError(
            f"{archive}: expected {shape[0]} rows of whole-numbered labels, found {labels.dtype} {labels.shape}"
        )
    whole = rows.astype(np.int64)
    most = 1 if whole.shape[1] > 1 else 255
    if whole.min(initial=0) < 0 or whole.max(initial=0) > most:
        raise SourceError(f"{archive}: expected labels from 0 to {most}, found {whole.min()} to {whole.max()}")
    return whole


def _names(archive: Path, labels: NDArray[np.int64]) -> tuple[str, ...]:
    count = labels.shape[1] if labels.shape[1] > 1 else max(2, int(labels.max(initial=0)) + 1)
    known = NAMES.get(archive.stem.split("_")[0].lower(), ())
    return known if len(known) == count else tuple(f"class {index}" for index in range(count))


def _record(archive: Path, split: str, index: int, row: NDArray[np.int64]) -> Sample:
    label = tuple(map(int, row)) if len(row) > 1 else int(row[0])
    name = f"{split}/{index:06}"
    return Sample(name, label, partial(_load, archive, split, index, f"{archive.name}:{name}"), split=split)


def _load(archive: Path, split: str, index: int, name: str) -> Film:
    try:
        with _one_at_a_time:
            images = _images(archive, archive.stat().st_mtime_ns, split)
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise FilmError(
            f"{name}: expected images in a whole archive, found a broken one ({error})", code=FILM_DAMAGED
        ) from error
    return Film(images[index], name) if images.ndim == 3 else Film.of_rgb(images[index], name)


@lru_cache(maxsize=len(SPLITS))
def _images(archive: Path, changed: int, split: str) -> NDArray[np.uint8]:
    """A split's images, uint8 (n, side, side) or (n, side, side, 3), read-only; unpacked once."""
    with np.load(archive, allow_pickle=False) as arrays:
        images: NDArray[np.uint8] = arrays[f"{split}_images"]
    images.flags.writeable = False
    return images
