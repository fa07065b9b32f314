"""The finished run: weights and card, the card last, so that a run with a card is whole."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from lucency import __version__
from lucency.bundle import Card, Model, Square, Training
from lucency.data.dataset import Dataset
from lucency.data.splits import split_hash
from lucency.models import Classifier
from lucency.models.run import WEIGHTS, save_run
from lucency.recipe import Recipe

LIMITS = (
    "Research use only; not a medical device.",
    "Learned from the films named under training; other hospitals, ages, views and machines are not covered.",
)


def save(
    out: Path, classifier: Classifier, recipe: Recipe, learn: Dataset, judge: Dataset, how: str, minutes: float
) -> Card:
    """Write `model.safetensors` and `card.json` into the run's folder.

    Args:
        out: the run.
        classifier: the best weights.
        recipe: what decided them.
        learn: films learned from.
        judge: films that chose the checkpoint.
        how: how the two were parted, in words.
        minutes: that the training took, from its start or its last resume.

    Raises:
        OutputError: the folder cannot be written.
    """
    card = Card(
        name=recipe.name,
        task=learn.task,
        labels=learn.labels,
        preprocess=Square(image_size=recipe.data.side, resize_mode=recipe.data.fit),
        model=Model(
            format="torch",
            file=WEIGHTS,
            backbone=recipe.model.backbone,
            width=recipe.model.width,
            depth=recipe.model.depth,
            stride=recipe.model.stride,
            frame=recipe.model.frame,
            within=recipe.model.within,
            spread=recipe.model.spread,
            head=recipe.model.head,
        ),
        training=Training(
            recipe=recipe.model_dump(mode="json"),
            source=learn.source,
            films=len(learn),
            patients=len({record.patient or record.name for record in learn.samples}),
            split_hash=split_hash(learn, range(len(learn))),
            seed=recipe.seed,
            minutes=round(minutes, 2),
            versions=_versions(),
        ),
        limits=(*LIMITS, f"{len(judge)} films chose the checkpoint ({how}); figures on them flatter."),
        licence="Apache-2.0",
    )
    return save_run(out, classifier, card)


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("torch", "numpy", "pillow", "lightning")}
    return {"lucency": __version__, "python": platform.python_version()} | found
