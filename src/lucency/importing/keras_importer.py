"""From a model file to a run folder: read, translate, assemble, choose the input, write."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lucency.bundle import Model
from lucency.bundle.card import IMPORTED
from lucency.errors import UsageError, WeightsError
from lucency.importing.assemble import Assembled, assemble, with_range
from lucency.importing.imported import Imported, ImportOptions, card_of, choose_input
from lucency.importing.input_range import BYTES, RANGES, Logits
from lucency.importing.keras_file import read_keras
from lucency.importing.keras_graph import flatten
from lucency.importing.keras_layers import translate
from lucency.importing.onto_backbone import onto_backbone
from lucency.models import Classifier
from lucency.models.imported import ARCHITECTURE
from lucency.models.run import WEIGHTS, save_run
from lucency.preprocess import Preprocess

BATCH = 16


def import_keras(path: Path, content: bytes, out: Path, options: ImportOptions) -> Imported:
    """Write a whole Keras model, the content of an `.h5` or `.keras`, as a run; errors as `import_model`."""
    try:
        network, says = _read(content, options)
    except WeightsError as error:
        raise error.prefixed(str(path)) from None
    outputs, side, own = network.outputs, network.architecture.side, BYTES if network.rescales else None
    chosen = choose_input(path, options, outputs.labels, _logits(network.classifier), side, own)
    with_range(network.classifier, *RANGES[chosen.pixel_range])
    model, classifier, files, is_ours = _as_ours(network)
    square = Preprocess(side, chosen.resize_mode)
    card = card_of(path, content, outputs, model, square, chosen.pixel_range, {"torch": version("torch")})
    says = (*says, outputs.says, chosen.says, is_ours)
    return Imported(out, save_run(out, classifier, card, files, options.replace), says, chosen.tried)


def _read(content: bytes, options: ImportOptions) -> tuple[Assembled, tuple[str, ...]]:
    file = read_keras(content)
    flat = flatten(file.config)
    shape = _shape(flat.shape, options.image_size)
    network = assemble(translate(flat, file), shape, options.classes, options.flip)
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


def _logits(classifier: Classifier) -> Logits:
    """The network's answers to films in a range; it is left as it was, with its own rescaling."""
    own = classifier.scale.clone(), classifier.shift.clone()

    def logits(pixel_range: str, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        with_range(classifier, *RANGES[pixel_range])
        try:
            with torch.inference_mode():
                films = torch.split(torch.from_numpy(squares[:, None].astype(np.float32)), BATCH)
                return torch.cat([classifier(some) for some in films]).numpy()
        finally:
            with torch.no_grad():
                classifier.scale.copy_(own[0])
                classifier.shift.copy_(own[1])

    return logits
