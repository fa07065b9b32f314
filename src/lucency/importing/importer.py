"""From a model file to a run folder: read, translate, assemble, choose the input, write."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lucency import __version__
from lucency.bundle import Card, Model, OperatingPoint, Square, Training
from lucency.bundle.card import IMPORTED
from lucency.data import Dataset
from lucency.data.labels import fold, in_order, matching
from lucency.errors import SourceError, UsageError, WeightsError
from lucency.files import sha256_file
from lucency.importing.assemble import Assembled, assemble, with_range
from lucency.importing.input_range import BYTES, RANGES, Tried, find_range, try_all
from lucency.importing.keras_file import read_keras
from lucency.importing.keras_graph import flatten
from lucency.importing.keras_layers import translate
from lucency.importing.onto_backbone import onto_backbone
from lucency.models import Classifier
from lucency.models.imported import ARCHITECTURE
from lucency.models.run import WEIGHTS, save_run
from lucency.preprocess import RESIZE_MODES, Preprocess, ResizeMode

CLASSES = ("NORMAL", "PNEUMONIA")
LIMITS = (
    "Research use only; not a medical device.",
    "Trained elsewhere: on which films is not known here, so figures on them may flatter.",
)


@dataclass(frozen=True)
class Imported:
    """What was imported, and how it was understood."""

    path: Path
    card: Card
    says: tuple[str, ...]
    """How the file was read, a sentence each."""
    tried: tuple[Tried, ...] = ()
    """Combinations of range and resize mode, the most likely first, where labelled films were given."""


def import_model(
    path: Path | str,
    out: Path | str,
    classes: Sequence[str] = CLASSES,
    *,
    pixel_range: str | None = None,
    resize_mode: ResizeMode | None = None,
    image_size: int | None = None,
    films: Dataset | None = None,
    finding: str | None = None,
    replace: bool = False,
) -> Imported:
    """Write the network of a Keras file as a run.

    Args:
        path: `.h5` or `.keras`, whole models.
        out: folder of the run.
        classes: names of the outputs in their order; of one sigmoid unit (0, 1).
        pixel_range: a row of RANGES; None where the network rescales by itself, or with `films`.
        resize_mode: stretch, crop or pad; stretch by default, or chosen by `films`.
        image_size: of the input, where the file leaves it open.
        films: labelled; every combination left open is tried on them.
        finding: the class that is the finding, where the names do not tell.
        replace: write over a run that is there.

    Raises:
        WeightsError: no Keras file, broken, or with a layer that is not supported.
        UsageError: classes that do not fit the outputs, no such range, or no range and no films.
        OutputError: `out` holds a run, or cannot be written.
    """
    source = Path(path)
    if pixel_range is not None:
        find_range(pixel_range)
    flip = _flips(classes, finding)
    try:
        network, says = _read(source, classes, flip, image_size)
    except WeightsError as error:
        raise error if str(error).startswith(str(path)) else error.prefixed(str(path)) from None
    side = network.architecture.side
    tried = _tried(network, side, films, pixel_range, resize_mode)
    chosen = tried[0].pixel_range if tried else pixel_range or (BYTES if network.rescales else None)
    if chosen is None:
        raise UsageError(
            f"{path}: the file does not say which numbers its pixels become; say so with --range "
            f"{'|'.join(RANGES)}, or give labelled films with --data, and each is tried"
        )
    mode = tried[0].resize_mode if tried else resize_mode or "stretch"
    with_range(network.classifier, *RANGES[chosen])
    model, classifier, files, is_ours = _as_ours(network)
    card = _card(source, network, model, Preprocess(side, mode), chosen)
    says = (*says, network.outputs.says, f"pixels {chosen}{_why(network, tried, pixel_range)}, resize {mode}", is_ours)
    return Imported(Path(out), save_run(Path(out), classifier, card, files, replace), says, tuple(tried))


def _read(path: Path, classes: Sequence[str], flip: bool, image_size: int | None) -> tuple[Assembled, tuple[str, ...]]:
    file = read_keras(path)
    flat = flatten(file.config)
    network = assemble(translate(flat, file), _shape(flat.shape, image_size), classes, flip)
    return network, (f"Keras {file.major}, {len(flat.calls)} layers",)


def _shape(stated: Sequence[int | None], image_size: int | None) -> tuple[int, int, int]:
    height, width, channels = stated
    if channels is None:
        raise WeightsError("the number of channels is not stated; build the network before saving it")
    if image_size is not None and any(side not in (None, image_size) for side in (height, width)):
        raise UsageError(f"--image-size {image_size}: the network takes {height} × {width}")
    if image_size is None and (height is None or width is None):
        raise UsageError("the network takes films of any size; say which it learned from with --image-size")
    return height or image_size or 0, width or image_size or 0, channels


def _flips(classes: Sequence[str], finding: str | None) -> bool:
    """Whether the first of two classes is the finding."""
    folded = [fold(name) for name in classes]
    if len(set(folded)) != len(folded) or not all(folded):
        raise UsageError(f"--classes: expected different names, received {', '.join(classes) or 'none'}")
    if finding is not None:
        if len(classes) != 2 or fold(finding) not in folded:
            raise UsageError(f"--finding: expected one of two classes, {', '.join(classes)}; received '{finding}'")
        return folded.index(fold(finding)) == 0
    return len(classes) == 2 and in_order(classes) != tuple(classes) and in_order(classes) == tuple(classes[::-1])


def _tried(
    network: Assembled, side: int, films: Dataset | None, pixel_range: str | None, mode: ResizeMode | None
) -> list[Tried]:
    if films is None:
        return []
    labels = network.outputs.labels
    places = matching(films.labels, labels, films.finding)
    if places is None:
        raise SourceError(f"{films.source}: expected the labels {', '.join(labels)}, found {', '.join(films.labels)}")
    ranges = [pixel_range] if pixel_range else [BYTES] if network.rescales else list(RANGES)
    modes = [mode] if mode else list(RESIZE_MODES)
    return try_all(network.classifier, side, films.with_labels(labels, places), ranges, modes)


def _why(network: Assembled, tried: Sequence[Tried], given: str | None) -> str:
    if given:
        return " as given"
    if network.rescales:
        return ", which the network rescales by itself"
    return f" as most likely: {tried[0].log_likelihood:.3f} a film" if tried else ""


def _as_ours(network: Assembled) -> tuple[Model, Classifier, dict[str, bytes], str]:
    """The model table of the card, the classifier, further files, and in words whether it is one of ours."""
    architecture = network.architecture
    ours = onto_backbone(network.classifier, architecture.features, architecture.head, architecture.side)
    if ours is None:
        model = Model(format="torch", file=WEIGHTS, backbone=IMPORTED, head=IMPORTED, architecture=ARCHITECTURE)
        said = f"a network of its own, {len(architecture.features)} layers before the head"
        return model, network.classifier, {ARCHITECTURE: architecture.model_dump_json(indent=1).encode()}, said
    settings, classifier = ours
    shape = settings.model_dump(include={"backbone", "width", "head"})
    model = Model.model_validate({"format": "torch", "file": WEIGHTS, **shape})
    return model, classifier, {}, f"{settings.backbone} × {settings.width:g}, head {settings.head}: one of ours"


def _card(source: Path, network: Assembled, model: Model, preprocess: Preprocess, pixel_range: str) -> Card:
    versions = {"lucency": __version__, "python": platform.python_version(), "torch": version("torch")}
    return Card(
        name=source.stem,
        task=network.outputs.task,
        labels=network.outputs.labels,
        preprocess=Square(image_size=preprocess.image_size, resize_mode=preprocess.resize_mode),
        model=model,
        operating_point=OperatingPoint(chosen_by="default"),
        training=Training(
            recipe={"imported": {"file": source.name, "sha256": sha256_file(source), "range": pixel_range}},
            source=IMPORTED,
            versions=versions,
        ),
        limits=LIMITS,
        licence="Not stated by the file.",
    )
