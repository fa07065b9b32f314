"""A reader with a complete card, and one with an empty card."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucency.bundle import Card, Model, OperatingPoint, Training
from lucency.evaluate.predictions import Predictions
from lucency.report import ReportContext, build_context

ABOUT: dict[str, Any] = {
    "command": "lucency evaluate run --data films",
    "data": "films",
    "source": "kermany",
    "split": "test",
    "threshold_chosen_by": "Youden",
    "unread": ["a.png: broken"],
    "data_warnings": ["left out COVID"],
}
RECIPE: dict[str, Any] = {
    "data": {"side": 160, "imbalance": "class_weights"},
    "model": {"backbone": "mobilenet_v2", "weights": "imagenet"},
    "head": {"epochs": 3, "batch": 32, "lr": 0.001, "schedule": "constant"},
    "augment": {"aspect": [0.64, 1.57], "noise": 0},
}


def predictions(films: int = 120) -> Predictions:
    """Half positive, two films a patient; the first six positive films missed, with falling confidence."""
    labels = np.repeat(np.arange(films // 2) % 2, 2)
    logits = np.where(labels == 1, 2.0, -2.0) + 0.01 * np.arange(films)
    positive = np.flatnonzero(labels == 1)
    logits[positive[:6]] = -np.arange(7.0, 1.0, -1.0)
    column = logits.reshape(-1, 1)
    cause = tuple("normal" if not label else ("virus", "bacteria")[i % 8 // 4] for i, label in enumerate(labels))
    return Predictions(
        names=tuple(f"film{i}.png" for i in range(films)),
        patients=tuple(f"patient{i // 2}" for i in range(films)),
        labels=labels,
        logits=column,
        probabilities=1 / (1 + np.exp(-column)),
        label_names=("normal", "pneumonia"),
        columns={"cause": cause, "sex": ("F", "M") * (films // 2)},
    )


def known(**about: Any) -> ReportContext:
    """A reader with everything on its card."""
    card = Card(
        name="sample",
        labels=("normal", "pneumonia"),
        model=Model(format="torch", file="model.safetensors", backbone="mobilenet_v2", parameters=2_225_153),
        operating_point=OperatingPoint(threshold=0.5, chosen_by="Youden", chosen_on="400 validation films"),
        training=Training(recipe=RECIPE, source="kermany", films=4000, patients=2600, split_hash="ab" * 32, minutes=9),
        limits=(
            "Research use only; not a medical device.",
            "400 films chose the checkpoint; figures on them are optimistic.",
        ),
        licence="Apache-2.0",
    )
    return build_context(card, "c" * 64, predictions(), 0.5, {**ABOUT, **about}, resamples=100)


def unknown() -> ReportContext:
    """A reader with an empty card, on films without metadata."""
    card = Card(
        name="empty", labels=("normal", "pneumonia"), model=Model(format="onnx", file="model.onnx", backbone="none")
    )
    about = {**ABOUT, "source": "folder", "threshold_chosen_by": "default", "unread": [], "data_warnings": []}
    films = predictions()
    bare = Predictions(
        films.names, (None,) * len(films), films.labels, films.logits, films.probabilities, films.label_names
    )
    return build_context(card, "d" * 64, bare, 0.5, about, resamples=100)
