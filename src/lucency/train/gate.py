"""Teach a run what its films look like, so that it can say of others: not one of these."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.bundle import Bundle, Card, Check, Gate
from lucency.data.dataset import Dataset
from lucency.data.decode import decode_each, report_skipped, require_readable
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import FilmError, SourceError
from lucency.evaluate.conformal import fit_least
from lucency.models import Classifier
from lucency.models.gate import CHECKS, GATE, directions, gate_from, thumbnails
from lucency.models.memory import keep_freed_memory
from lucency.models.run import load_run
from lucency.preprocess import Preprocess
from lucency.progress import track
from lucency.recipe import DataSettings
from lucency.train.gate_numbers import Floats, crossfitted, doubts_of, numbers

BATCH = 32
ALARMS = {"layout": 0.2, "upside_down": 0.1, "mirrored": 0.45, "features": 0.25}
"""How the alarms allowed are shared out: most to what is told with most difficulty."""
MOST = 2000
"""Films learned from that are looked at; more move the Gaussians little."""
SHOWN = 300
"""Films that are shown spoiled."""
NOISE, BLUR = 10.0, 1 / 60
"""Standard deviations of what spoils them: gray levels; share of the side."""
Squares = NDArray[np.uint8]


def noisy(squares: Squares) -> Squares:
    """Films (n, side, side) with noise, the same each time."""
    grain = np.random.default_rng(0).normal(0, NOISE, squares.shape)
    return np.clip(np.rint(squares + grain), 0, 255).astype(np.uint8)


def blurred(squares: Squares) -> Squares:
    """Films (n, side, side) out of focus."""
    soft = ImageFilter.GaussianBlur(BLUR * squares.shape[1])
    return np.stack([np.asarray(Image.fromarray(square).filter(soft)) for square in squares])


SPOILINGS: dict[str, Callable[[Squares], Squares]] = {"noisy": noisy, "blurred": blurred}
"""What a network takes for a finding of its own, and what the gate is therefore shown. Shown films of little contrast,
too, it refuses half of them, but no more of those read wrongly."""


@dataclass(frozen=True)
class Looks:
    """What the gate measures of n films."""

    films: Dataset
    """Those that could be read."""
    small: Floats
    """(n, 64), thumbnails."""
    features: Floats
    """(n, k), directions of the pooled features."""


def learn_gate(
    run: Bundle, films: Dataset, fold: Fold | None = None, alarms: float = 0.02, most: int = MOST
) -> tuple[Card, bytes]:
    """Fit the gate on the films of a run; set each limit on films that did not fit what it limits.

    Features of films learned from lie closer together than those of new ones, so theirs are limited on the films that
    chose the checkpoint. Thumbnails know no network: each film is measured by what the other patients' films fit.

    Args:
        run: an open run.
        films: the data set that it was trained on.
        fold: which one, where the run is one of a cross-validation.
        alarms: share of films of the same kind that may be refused, all checks together.
        most: films learned from that are looked at.

    Returns:
        the run's card with the gate, and the content of its file.

    Raises:
        SourceError: these are not the films the run learned from, or there are too few.
    """
    learned, judged = parts(run.card, films, fold)
    opened = load_run(run)
    keep_freed_memory()
    classifier = opened.classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inside = look(classifier, some(learned, most), opened.preprocess, "films learned from")
    outside = look(classifier, judged, opened.preprocess, "films set aside")
    few = some(inside.films, SHOWN)
    spoiled = [look(classifier, few, opened.preprocess, f"{name} films", way) for name, way in SPOILINGS.items()]
    small, groups = np.concatenate([inside.small, outside.small]), _groups(inside.films, outside.films)
    gate = gate_from(numbers(small, inside.features, [part.features for part in spoiled]))
    doubts = {name: (column, groups) for name, column in zip(CHECKS, crossfitted(small, groups).T, strict=False)}
    doubts["features"] = doubts_of(gate, outside.small, outside.features)[:, -1], outside.films.groups()
    checks = tuple(check(name, *doubts[name], alarms * ALARMS[name]) for name in CHECKS)
    fitted_on = (
        f"layout of {len(small)} films, crossfitted; "
        f"features of {len(inside.films)} learned from, {len(few)} of them also {' and '.join(SPOILINGS)}, "
        f"limited on {len(outside.films)} set aside"
    )
    card = run.card.model_copy(update={"gate": Gate(file=GATE, checks=checks, fitted_on=fitted_on)})
    return card, safetensors.torch.save({name: value.contiguous() for name, value in gate.state_dict().items()})


def _groups(inside: Dataset, outside: Dataset) -> NDArray[np.int64]:
    """Patients of both, after one another; no patient is in both."""
    first = inside.groups()
    return np.concatenate([first, outside.groups() + first.max() + 1])


def some(films: Dataset, most: int) -> Dataset:
    """At most `most` films, drawn the same way each time."""
    if len(films) <= most:
        return films
    return films.subset(np.sort(np.random.default_rng(0).permutation(len(films))[:most]))


def parts(card: Card, films: Dataset, fold: Fold | None) -> tuple[Dataset, Dataset]:
    """The films that a run learned from, and those that chose its checkpoint, found again.

    Raises:
        SourceError: these are other films.
    """
    settings = DataSettings.model_validate(card.training.recipe.get("data", {}))
    learned, judged, _ = train_val_split(fold.split(films)[0] if fold else films, settings)
    if split_hash(learned, range(len(learned))) != card.training.split_hash:
        raise SourceError(
            f"{films.source}: expected the {card.training.films} films that the run learned from, these are others; "
            "give --data as it was given to lucency train, and --fold K --folds N for a run of a cross-validation"
        )
    return learned, judged


def look(
    classifier: Classifier,
    films: Dataset,
    preprocess: Preprocess,
    doing: str,
    change: Callable[[Squares], Squares] = lambda squares: squares,
) -> Looks:
    """Thumbnail and pooled features of every film that can be read, its squares (n, side, side) changed beforehand."""
    good: list[int] = []
    unreadable: list[FilmError] = []
    rows: list[tuple[torch.Tensor, torch.Tensor]] = []
    outcomes = track(enumerate(decode_each(films, preprocess)), doing, total=len(films))
    for batch in _batches(outcomes):
        unreadable += [square for _, square in batch if isinstance(square, FilmError)]
        squares = [(index, square) for index, square in batch if not isinstance(square, FilmError)]
        if squares:
            good += [index for index, _ in squares]
            with torch.inference_mode():
                seen = change(np.stack([square for _, square in squares]))
                gray = torch.from_numpy(seen[:, None].astype(np.float32))
                rows.append((thumbnails(gray), directions(classifier.pooled(gray))))
    require_readable(films, len(good), unreadable)
    report_skipped(unreadable)
    small, features = (torch.cat(column).double().numpy() for column in zip(*rows, strict=True))
    return Looks(films.subset(good), small, features)


def _batches(
    outcomes: Iterator[tuple[int, NDArray[np.uint8] | FilmError]],
) -> Iterator[list[tuple[int, NDArray[np.uint8] | FilmError]]]:
    while batch := list(islice(outcomes, BATCH)):
        yield batch


def check(name: str, doubt: Floats, groups: NDArray[np.int64], alarms: float) -> Check:
    """The limit above which at most a share `alarms` of like films lie, patients counting alike."""
    farthest = -fit_least(-doubt[:, None], np.zeros(len(doubt), dtype=np.int64), groups, 1 - alarms)[0]
    limit = farthest or float(doubt.max())
    if not farthest:
        print(
            f"too few films set aside to promise {alarms:.1%} alarms of {name}: the farthest is the limit",
            file=sys.stderr,
        )
    return Check(name=name, limit=limit, alarms=float((doubt > np.float32(limit)).mean()))  # type: ignore[arg-type]
