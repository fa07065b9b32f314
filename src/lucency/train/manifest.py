"""The folder of a run: its manifest, written before training, its weights and card, written after, and a summary."""

from __future__ import annotations

import contextlib
import json
import platform
import shlex
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path

import numpy as np

from lucency import __version__, compat
from lucency.bundle import Card, Model, Square, Training
from lucency.data import population
from lucency.data.dataset import Dataset, preprocess_of
from lucency.data.learned import LEARNED, learned_bytes
from lucency.data.splits import split_hash, train_val_split
from lucency.errors import TrainingError
from lucency.evaluate.confidence_intervals import Estimate, auroc_interval, proportion_interval
from lucency.evaluate.metrics import auroc
from lucency.evaluate.predictions import Predictions
from lucency.files import locked, parse_json, unwritable, write_text
from lucency.modality import MODALITIES
from lucency.models import Classifier
from lucency.models.run import SHAPE, WEIGHTS, save_run
from lucency.reader import Reader
from lucency.reader.predict import predict
from lucency.recipe import Recipe, parse_recipe

MANIFEST = "manifest.json"
CARD = "card.json"
LIMITS = (
    "Research use only; not a medical device.",
    "Trained on the films named under training; other hospitals, ages, views and machines are not covered.",
)
FIELDS = {
    "recipe": "its recipe",
    "train": "its training films",
    "val": "its validation films",
    "world_size": "the number of processes",
}
"""Field of a manifest -> what an error calls it."""


def new_run(name: str) -> Path:
    """`runs/NAME`, or with the first number that is free."""
    first = Path("runs") / name
    numbered = (first.with_name(f"{name}-{n}") for n in count(2))
    return next(path for path in chain([first], numbered) if not path.exists())


@dataclass(frozen=True)
class Manifest:
    """All inputs of a run; two runs with equal manifests end with equal weights on one machine."""

    recipe: str
    """The recipe as JSON."""
    train: str
    """split_hash of the training films."""
    val: str
    """split_hash of the validation films."""
    world_size: int = 1
    """Processes that train together."""

    @classmethod
    def of(cls, recipe: Recipe, train: Dataset, val: Dataset, world_size: int = 1) -> Manifest:
        """The manifest of a run."""
        train_hash, val_hash = (split_hash(films, range(len(films))) for films in (train, val))
        return cls(_recipe_json(recipe), train_hash, val_hash, world_size)


def lock_and_claim(out: Path, manifest: Manifest, resume: bool, held: contextlib.ExitStack) -> bool:
    """`claim` under a lock kept in `held`, so that only one process writes to a run.

    Raises:
        OutputError: another process trains in `out`, or it cannot be written.
        TrainingError: as `claim`.
    """
    if not out.is_file():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(out, error) from error
        held.enter_context(locked(out))
    return claim(out, manifest, resume)


def claim(out: Path, manifest: Manifest, resume: bool) -> bool:
    """Claim `out` for a run.

    Returns:
        True if the run there is already finished.

    Raises:
        TrainingError: `out` holds a run and `resume` is not set, or holds another run, or something else.
        OutputError: `out` cannot be written.
    """
    there = _read(out)
    if there is None:
        _write(out, manifest)
        return False
    if not resume:
        raise TrainingError(f"{out}: holds a run already; continue it with --resume, or choose another --out")
    if there != manifest:
        changed = [title for name, title in FIELDS.items() if getattr(there, name) != getattr(manifest, name)]
        raise TrainingError(f"{out}: cannot resume, {' and '.join(changed)} changed since; choose another --out")
    return (out / CARD).exists()


def _read(out: Path) -> Manifest | None:
    """The manifest in `out`; settings newer than it have their default."""
    path = out / MANIFEST if (out / MANIFEST).exists() else out / compat.OLD_MANIFEST
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        there = Manifest(**{compat.MANIFEST.get(name, name): value for name, value in content.items()})
        return replace(there, recipe=_recipe_json(parse_recipe(parse_json(there.recipe), str(path))))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError) as error:
        raise TrainingError(
            f"{path}: expected the manifest of a run, cannot read it ({error}); choose another --out"
        ) from error


def _recipe_json(recipe: Recipe) -> str:
    return json.dumps(recipe.model_dump(mode="json"), sort_keys=True)


def _write(out: Path, manifest: Manifest) -> None:
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise TrainingError(f"{out}: expected a new or empty folder for the run; choose another --out")
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    write_text(out / MANIFEST, json.dumps(asdict(manifest), indent=1))


def save(
    out: Path, classifier: Classifier, recipe: Recipe, train: Dataset, val: Dataset, split: str, minutes: float
) -> Card:
    """Write `model.safetensors` and `card.json`, the card last: a run with a card is complete.

    Args:
        out: the run's folder.
        classifier: the kept weights.
        recipe: of the run.
        train: training films.
        val: validation films.
        split: how the two were split, in words.
        minutes: of training, from its start or its last resume.

    Raises:
        OutputError: the folder cannot be written.
    """
    card = Card(
        name=recipe.name,
        task=train.task,
        labels=train.labels,
        modality=recipe.data.modality,
        preprocess=Square.model_validate(preprocess_of(recipe.data).to_json()),
        model=Model(format="torch", file=WEIGHTS, **{name: getattr(recipe.model, name) for name in SHAPE}),
        population=population(train.source),
        training=Training(
            recipe=recipe.model_dump(mode="json"),
            source=train.source,
            films=len(train),
            patients=len({sample.patient for sample in train.samples}) if train.patients_known else None,
            left_out=dict(train.left_out),
            split_hash=split_hash(train, range(len(train))),
            seed=recipe.seed,
            minutes=round(minutes, 2),
            versions=_versions(),
        ),
        limits=(
            *LIMITS,
            *filter(None, (MODALITIES[recipe.data.modality].limit,)),
            f"Validated on {validation_films(len(val), recipe)} ({split}).",
        ),
        licence="Apache-2.0",
    )
    return save_run(out, classifier, card, {LEARNED: learned_bytes(train, val)})


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("torch", "numpy", "pillow", "lightning")}
    return {"lucency": __version__, "python": platform.python_version()} | found


FEW = 50
"""Films of a label below which an interval is too wide to choose by."""


def keeps_best(recipe: Recipe) -> bool:
    """Whether the validation films choose the epoch whose weights are kept."""
    return (recipe.finetune if recipe.finetune.epochs else recipe.head).keep == "best"


def validation_films(count: int, recipe: Recipe) -> str:
    """How many validation films there are, in words, and what they did."""
    return f"{count:,} films{' that chose the checkpoint, which flatters' if keeps_best(recipe) else ''}"


def summary(out: Path, films: Dataset, recipe: Recipe, data: str) -> str:
    """Lines for a terminal.

    Args:
        out: folder of the run.
        films: what it was given, as `data` names them.
        recipe: of the run.
        data: as the next command names it.
    """
    _, val, _ = train_val_split(films, recipe.data)
    predictions = predict(Reader.open(out), val).predictions
    checkpoints = " ".join(f"checkpoints/{path.name}/" for path in sorted((out / "checkpoints").glob("*")))
    lines = [
        f"wrote    {out}: {WEIGHTS} (weights), {CARD}, history.png and history.csv (curves), {checkpoints}",
        f"counts   {figure(predictions)} on {validation_films(len(val), recipe)}",
        *_few(val),
        f"next     {_next(out, films, data)}",
    ]
    return "\n".join(lines)


def figure(predictions: Predictions) -> str:
    """AUROC, or of several classes the share of right calls, with its interval."""
    groups = predictions.groups()
    if predictions.task != "binary":
        right = (predictions.called(0.5) == predictions.labels).reshape(len(groups), -1)
        each = np.repeat(groups, right.shape[1])  # a film has a call for each of its labels
        interval = proportion_interval(right.ravel(), np.full(right.size, True), each)
        return f"share of right calls {Estimate(float(right.mean()), *interval)}"
    truth, score = predictions.labels == 1, predictions.logits[:, 0]
    low, high = auroc_interval(truth, score, groups) or (None, None)
    return f"AUROC {Estimate(float(auroc(truth, score)), low, high)}"


def _few(val: Dataset) -> list[str]:
    rare = {name: count for name, count in val.class_counts().items() if count < FEW}
    said = " and ".join(f"{count} of {name}" for name, count in rare.items())
    return [f"few      {said}: too few to choose between runs; cross-validate with --folds 5"] if rare else []


def _next(out: Path, films: Dataset, data: str) -> str:
    command = ["lucency", "evaluate", str(out), "--data"]
    if any(sample.split == "test" for sample in films.samples):
        return f"{shlex.join([*command, data])}       (its test films)"
    return f"{shlex.join(command)} FILMS       (films of other patients; there is no test split here)"
