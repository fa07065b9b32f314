"""Runs small enough to be exported in seconds, with random weights that are alive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lucency.bundle import Calibration, Card, Model, Square, Training
from lucency.models import Classifier, build
from lucency.models.heads import HEADS
from lucency.models.layers import Unit
from lucency.models.run import save_run
from lucency.recipe import ModelSettings

LABELS = {
    "binary": ("normal", "pneumonia"),
    "multiclass": ("normal", "bacteria", "virus"),
    "multilabel": ("effusion", "nodule", "pneumonia"),
}
NONE = Calibration()


def squares(count: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Films that differ in brightness and texture, uint8 (n, side, side)."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(40, 215, (count, 1, 1))
    return np.clip(rng.normal(level, rng.uniform(5, 60, (count, 1, 1)), (count, side, side)), 0, 255).astype(np.uint8)


def few_units(head: str, findings: int) -> Classifier:
    """A backbone of four convolutions, for what does not depend on the backbone: side / 8, 256 maps, 4,096 weights."""
    units = [Unit(3, 8, 3, 2), Unit(8, 16, 3, 2), Unit(16, 16, 3, 2), Unit(16, 256)]
    return Classifier(nn.Sequential(*units), HEADS[head](256, findings), (0.5,) * 3, (0.25,) * 3)


def alive(classifier: Classifier, side: int) -> Classifier:
    """The classifier with norms whose moments fit films, and a head that tells films apart."""
    torch.manual_seed(0)
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
) -> Card:
    """The card of such a run."""
    return Card(
        name="small",
        task=task,  # type: ignore[arg-type]
        labels=LABELS[task],
        preprocess=Square(side=side),
        model=Model(format="torch", file="model.safetensors", backbone=backbone, width=width, head=head),  # type: ignore[arg-type]
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
) -> Path:
    """Write such a run to `out`."""
    card = card_of(task, head, side, backbone, width, calibration)
    settings = ModelSettings(backbone=backbone, width=width, head=head)  # type: ignore[arg-type]
    torch.manual_seed(0)
    save_run(out, alive(build(settings, card.findings), side), card)
    return out
