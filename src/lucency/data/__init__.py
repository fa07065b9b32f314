"""Data sets: where films with labels come from, and how they are split.

A source is one module and one row in SOURCES.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from lucency.bundle import Population
from lucency.data import csv_table, dicom_tree, eye_folder, folder, image_table, kermany, medmnist, phantom, tfrecord
from lucency.data.dataset import Dataset, Sample, SourceInfo, Task
from lucency.data.folder import inventory, is_film
from lucency.errors import SourceError, UsageError

__all__ = ["SOURCES", "Dataset", "Sample", "SourceInfo", "Task", "population", "read_dataset", "recognise"]

KERMANY_POPULATION = "Children of 1 to 5 years, one hospital (Guangzhou), frontal (AP)."
KERMANY_AGES = (1, 5)
KERMANY_READERS = "Two readers and a third arbiter, by film."
KERMANY_CITATION = "Kermany et al. 2018, Cell 172:1122, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj."

SOURCES: dict[str, SourceInfo] = {
    info.name: info
    for info in (
        SourceInfo(
            name="phantom",
            read=phantom.read,
            recognises=phantom.recognises,
            patients_known=True,
            population="Nobody. Drawn frontal chests from small child to lean adult, normal or with pneumonia.",
            counts="As many as asked for; three patients in five have pneumonia, 1.3 films a patient.",
            citation="None; lesion appearances after Franquet 2001, Eur Radiol 11:196.",
            licence="That of this project.",
        ),
        SourceInfo(
            name="tfrecord",
            read=tfrecord.read,
            recognises=tfrecord.recognises,
            patients_known=True,
            population=KERMANY_POPULATION,
            ages=KERMANY_AGES,
            labelled_by=KERMANY_READERS,
            counts="1,349 + 3,883 films in train, 234 + 390 in test: the Keras examples' edition of the Kermany films.",
            citation=KERMANY_CITATION,
            licence="CC BY 4.0.",
        ),
        SourceInfo(
            name="medmnist",
            read=medmnist.read,
            recognises=medmnist.recognises,
            patients_known=False,
            population="pneumoniamnist: the Kermany films (children); chestmnist: NIH ChestX-ray14 (adults).",
            counts="pneumoniamnist: 4,708 + 524 + 624 as train, val, test.",
            citation="Yang et al. 2023, MedMNIST v2, Scientific Data 10:41.",
            licence="CC BY 4.0.",
        ),
        SourceInfo(
            name="ham10000",
            read=partial(image_table.read, "ham10000"),
            recognises=partial(image_table.recognises, "ham10000"),
            patients_known=True,
            population="Dermatoscopies of pigmented lesions, Vienna and Queensland, mostly of fair skin.",
            labelled_by="Histology for half of them, else follow-up, consensus or confocal microscopy.",
            counts="10,015 of 7,470 lesions: akiec 327, bcc 514, bkl 1,099, df 115, mel 1,113, nv 6,705, vasc 142.",
            citation="Tschandl, Rosendahl & Kittler 2018, Scientific Data 5:180161.",
            licence="CC BY-NC 4.0: no weights made from it may be sold.",
        ),
        SourceInfo(
            name="aptos",
            read=partial(image_table.read, "aptos"),
            recognises=partial(image_table.recognises, "aptos"),
            patients_known=False,
            population="Retinas of people with diabetes, rural India, several cameras.",
            labelled_by="One clinician each, grade 0 to 4 of diabetic retinopathy.",
            counts="3,662 in train: 1,805 of grade 0, 370 of 1, 999 of 2, 193 of 3, 295 of 4.",
            citation="APTOS 2019 Blindness Detection, Kaggle.",
        ),
        SourceInfo(name="csv", read=csv_table.read, recognises=csv_table.recognises, patients_known=True),
        SourceInfo(
            name="kermany",
            read=kermany.read,
            recognises=kermany.recognises,
            patients_known=True,
            population=KERMANY_POPULATION,
            ages=KERMANY_AGES,
            labelled_by=KERMANY_READERS,
            counts=(
                "5,856 in all. Kaggle edition: 1,341 + 3,875 train, 8 + 8 val, 234 + 390 test; "
                "Mendeley edition: the 16 of val are in train."
            ),
            citation=KERMANY_CITATION,
            licence="CC BY 4.0.",
        ),
        SourceInfo(
            name="eyes",
            read=eye_folder.read,
            recognises=eye_folder.recognises,
            patients_known=True,
            population="Retinas of several collections, put together by class: the collection may tell the class.",
            counts="4,217: cataract 1,038, diabetic retinopathy 1,098, glaucoma 1,007, normal 1,074.",
            citation="eye_diseases_classification, Kaggle.",
        ),
        SourceInfo(name="dicom", read=dicom_tree.read, recognises=dicom_tree.recognises, patients_known=True),
        SourceInfo(name="folder", read=folder.read, recognises=folder.recognises, patients_known=False),
    )
}
"""Sources by name; the first that recognises a root reads it, so the particular ones come first."""


def population(source: str) -> Population:
    """Whose films a source holds, for a card; empty where the source cannot know."""
    info = SOURCES.get(source)
    return Population(words=info.population, ages=info.ages) if info else Population()


def read_dataset(root: Path | str, source: str = "auto", classes: int = 2, finding: str | None = None) -> Dataset:
    """Read a data set. No film is decoded.

    Args:
        root: a folder, a table, an archive, or `phantom:N` for N drawn films.
        source: a row of SOURCES, or "auto" to recognise which.
        classes: how many classes must have a film; one is enough to evaluate, training needs two.
        finding: the label that is the finding, where the names of the classes do not tell; of several classes, all
            others then are its absence.

    Returns:
        Records in the order of their names.

    Raises:
        SourceError: nothing is there, no source recognises it, or it holds fewer classes.
        UsageError: no such source, or no such finding.
    """
    root = Path(root)
    if source != "auto" and source not in SOURCES:
        raise UsageError(f"expected a source among auto, {', '.join(SOURCES)}; received '{source}'")
    try:
        films = SOURCES[recognise(root) if source == "auto" else source].read(root)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"{error.filename or root}: cannot be read ({reason}); check the permissions") from error
    films = replace(films, found=len(films))
    if finding is not None:
        films = films.with_finding(finding)
    _require_classes(films, root, classes)
    return films


def recognise(root: Path) -> str:
    """Name the source that `root` looks like.

    Raises:
        SourceError: none.
    """
    if str(root).startswith("phantom:"):
        return "phantom"
    for name, info in SOURCES.items():
        if info.recognises(root):
            return name
    if not root.exists():
        raise SourceError(f"{root}: expected a folder of films, found nothing there; check the path")
    if not root.is_dir():
        raise SourceError(f"{root}: expected a folder, a table (.csv) or an archive (.npz), found another kind of file")
    films = any(map(is_film, root.iterdir()))
    raise SourceError(
        f"{root}: expected class folders with films, such as NORMAL/ and PNEUMONIA/, below train/ and test/ or not, "
        f"a table with the columns path and label, or an archive; {inventory(root)}"
        + ("; if these are the films of one class, give the folder above" if films else "")
    )


def _require_classes(films: Dataset, root: Path, classes: int) -> None:
    present = [f"{count} of '{name}'" for name, count in films.class_counts().items() if count]
    if not films.samples:
        raise SourceError(f"{root}: expected films with labels, found none")
    if films.task != "multilabel" and len(present) < classes:
        raise SourceError(f"{root}: expected films of at least two classes, found one only: {present[0]} films")
