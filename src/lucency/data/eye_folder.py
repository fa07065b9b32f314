"""Folders of retinas whose names say which eye: the eye_diseases_classification set, put together from several others.

    cataract/103_left.jpg        patient 103
    glaucoma/_184_5953446.jpg    one of several changed copies of picture 184 of its class

Films of one number stay together, so that no eye and no copy is on both sides of a split. Numbers of different
collections may coincide: that only keeps more together.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lucency.data import folder
from lucency.data.dataset import Dataset, Sample

EYE = re.compile(r"(?P<patient>\d+)_(left|right)")
COPY = re.compile(r"_(?P<picture>\d+)_\d+")
ENOUGH = 0.5
"""Share of the names that say an eye or a copy, from which a folder is taken for one of this kind."""


def read(root: Path) -> Dataset:
    """Read class folders as the source `folder` does, with patients by name.

    Raises:
        SourceError: no class folders with films.
    """
    found = folder.read(root)
    samples = tuple(replace(sample, patient=_patient(sample)) for sample in found.samples)
    copies = sum(COPY.fullmatch(Path(sample.name).stem) is not None for sample in samples)
    warnings = tuple(line for line in found.warnings if line != folder.PATIENTS_UNKNOWN)
    said = (f"{copies} films are changed copies of others, by their names",) if copies else ()
    return replace(found, samples=samples, source="eyes", warnings=warnings + said)


def recognises(root: Path) -> bool:
    """Whether `root` holds class folders whose films are mostly named by eye."""
    if not root.is_dir():
        return False
    stems = [
        path.stem
        for _, place in folder.class_folders(folder.find_base(root))
        for path in folder.scan(place)
        if folder.is_film(path)
    ]
    named = sum(bool(EYE.fullmatch(stem) or COPY.fullmatch(stem)) for stem in stems)
    return bool(stems) and any(map(EYE.fullmatch, stems)) and named >= ENOUGH * len(stems)


def _patient(sample: Sample) -> str:
    """By eye the number; of a copy its picture and class; else the film itself."""
    path = Path(sample.name)
    if eye := EYE.fullmatch(path.stem):
        return eye["patient"]
    if copy := COPY.fullmatch(path.stem):
        return f"{path.parent.name}/{copy['picture']}"
    return sample.name
