"""Runs small enough to export in seconds, with random weights whose logits differ between films."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from lucency.bundle import Calibration, Card, Model, Square, Training
from lucency.data.phantom import draw
from lucency.models import Classifier, build
from lucency.models.classifier import HEADS
from lucency.models.layers import Inverted, Unit
from lucency.models.run import SHAPE, save_run
from lucency.recipe import ModelSettings

LABELS = {
    "binary": ("normal", "pneumonia"),
    "multiclass": ("normal", "bacteria", "virus"),
    "multilabel": ("effusion", "nodule", "pneumonia"),
}
NONE = Calibration()
DAMPED = 0.3


def squares(count: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Drawn chest films, every second one positive, uint8 (n, side, side); int8 is not made for noise."""
    films = [Image.fromarray(draw((seed, number), bool(number % 2), side=96).film) for number in range(count)]
    return np.stack([np.asarray(film.resize((side, side), Image.Resampling.BILINEAR)) for film in films])


def few_units(head: str, findings: int) -> Classifier:
    """A backbone of four convolutions, for what does not depend on the backbone: side / 8, 256 maps, 4,096 weights."""
    units = [Unit(3, 8, 3, 2), Unit(8, 16, 3, 2), Unit(16, 16, 3, 2), Unit(16, 256)]
    return Classifier(nn.Sequential(*units), HEADS[head](256, findings), (0.5,) * 3, (0.25,) * 3)


def alive(classifier: Classifier, side: int) -> Classifier:
    """The classifier with norms fitted to films, and logits that differ between films.

    Branches beside a shortcut are damped to DAMPED, as in a trained network: at full gain they are chaos.
    """
    torch.manual_seed(0)
    for part in classifier.modules():
        if isinstance(part, Inverted) and part.skip:
            nn.init.constant_(part.project.norm.weight, DAMPED)
    films = torch.from_numpy(squares(8, side, seed=1)[:, None].astype(np.float32))
    with torch.no_grad():
        for part in classifier.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None
        classifier.train().activations(films)
        for part in classifier.head.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, 0, 0.2)
                nn.init.normal_(part.bias, 0, 0.2)
    return classifier.eval()


def card_of(
    task: str,
    head: str,
    side: int,
    backbone: str = "mobilenet_v2",
    width: float = 0.35,
    calibration: Calibration = NONE,
    depth: int = 0,
    stride: Literal[8, 16, 32] = 32,
    lung_crop: int = 0,
    crop_scales: tuple[float, ...] = (1.0,),
    tta_flip: Literal["none", "horizontal", "both"] = "none",
    tta_zoom: tuple[float, ...] = (1.0,),
) -> Card:
    """The card of such a run."""
    shape = {"backbone": backbone, "width": width, "head": head, "depth": depth, "stride": stride}
    shape |= {"lung_crop": lung_crop, "crop_scales": crop_scales, "tta_flip": tta_flip, "tta_zoom": tta_zoom}
    shape |= {"expansion": bool(lung_crop)}
    return Card(
        name="small",
        task=task,  # type: ignore[arg-type]
        labels=LABELS[task],
        preprocess=Square(image_size=side),
        model=Model(format="torch", file="model.safetensors", **shape),  # type: ignore[arg-type]
        calibration=calibration,
        training=Training(recipe={"name": "small", "model": {"weights": "/somewhere/private/weights.pth"}}),
        licence="Apache-2.0",
    )


def write_run(
    out: Path,
    backbone: str,
    head: str,
    task: str = "binary",
    side: int = 64,
    width: float = 0.35,
    calibration: Calibration = NONE,
    depth: int = 0,
    stride: Literal[8, 16, 32] = 32,
    lung_crop: int = 0,
    crop_scales: tuple[float, ...] = (1.0,),
    tta_flip: Literal["none", "horizontal", "both"] = "none",
    tta_zoom: tuple[float, ...] = (1.0,),
) -> Path:
    """Write such a run to `out`."""
    card = card_of(
        task, head, side, backbone, width, calibration, depth, stride, lung_crop, crop_scales, tta_flip, tta_zoom
    )
    settings = ModelSettings.model_validate(card.model.model_dump(include=set(SHAPE)))
    torch.manual_seed(0)
    save_run(out, alive(build(settings, card.findings), side), card)
    return out
