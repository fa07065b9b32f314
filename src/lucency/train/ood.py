"""The out-of-distribution detector of a run, fitted to its training films."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.bundle import Bundle, Card, Check, Gate
from lucency.data.dataset import Dataset, decode_squares, report_skipped
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import SourceError
from lucency.evaluate.selective_prediction import fit_conformal
from lucency.modality import MODALITIES, Modality
from lucency.models import Classifier
from lucency.models.lung_crop import FLAT_LUNGS
from lucency.models.ood_detector import (
    CELLS,
    FLIP_CHECKS,
    LUNG_CHECKS,
    OOD_FILE,
    directions,
    lung_doubts,
    ood_detector_from_state,
    thumbnails,
)
from lucency.models.ood_detector import OODDetector as Detector
from lucency.models.run import keep_freed_memory, load_run
from lucency.preprocess import Preprocess, as_input
from lucency.progress import track
from lucency.recipe import card_data_settings

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

BATCH = 32
ALARMS = {
    "layout": 0.2,
    "upside_down": 0.1,
    "mirrored": 0.35,
    "features": 0.2,
    "lungs_missing": 0.05,
    "lungs_cut": 0.1,
}
"""How the allowed false alarms are divided among the checks: most for the hardest."""
FIXED = {"lungs_flat": FLAT_LUNGS[0]}
"""Limits that are not fitted: where evidence begins to fade."""
LEAST = {"layout": 6.0, "mirrored": 4.0, "lungs_missing": 0.62}
"""No fitted limit is lower. Fitted to children of one hospital, these checks doubted 19, 10 and 8 of 100 sound films of
adults (523 of NIH); so, 11, 5 and less than 1. Noise and a film with one black dot lie just above the first and are to
get no probability; every inverted film lies far above it."""
MAX_FILMS = 2000
"""Training films that are measured; more barely change the Gaussians."""
MAX_CORRUPTED = 300
"""Films that are also measured with noise and blur."""
NOISE, BLUR = 10.0, 1 / 60
"""Standard deviations of the corruptions: gray levels; share of the side."""
FOLDS = 5
MIN_FILMS = 50
"""Films below which no Gaussian is fitted."""
DIRECTIONS = {"layout": 16, "features": 64}
"""Principal directions of each Gaussian; at most a fourth of the films."""


class Flip(NamedTuple):
    """A check for mirror images."""

    axis: int
    """Of a thumbnail (channels, rows, columns)."""
    image: str
    """The name in `Modality.flips`: where such a picture is one of the kind there is no check."""


FLIPS = {"upside_down": Flip(1, "vertical"), "mirrored": Flip(2, "horizontal")}
"""Check → the mirror image that it finds."""
CORRUPTED_WEIGHT = 30.0
"""Weight of a corruption's direction in the distance of the features, among about a thousand directions."""
INVERSE_REGULARISATION = 1.0
"""C of scikit-learn's logistic regression."""


def add_noise(films: Pixels) -> Pixels:
    """Films (n, side, side) with noise, the same each time."""
    grain = np.random.default_rng(0).normal(0, NOISE, films.shape)
    return np.clip(np.rint(films + grain), 0, 255).astype(np.uint8)


def blur(films: Pixels) -> Pixels:
    """Films (n, side, side) out of focus."""
    soft = ImageFilter.GaussianBlur(BLUR * films.shape[1])
    return np.stack([np.asarray(Image.fromarray(film).filter(soft)) for film in films])


CORRUPTIONS: dict[str, Callable[[Pixels], Pixels]] = {"noisy": add_noise, "blurred": blur}
"""Corruptions that a network takes for findings. Low contrast is not among them: with it half of those films were
refused, but no more of the misread ones."""


@dataclass(frozen=True)
class Measured:
    """The detector's measurements of n films."""

    films: Dataset
    """The readable ones."""
    small: Floats
    """(n, 64), thumbnails."""
    features: Floats
    """(n, k), directions of the pooled features."""
    lungs: Floats
    """(n, 3), measurements of LUNG_CHECKS; (n, 0) for a network that reads whole films."""


def fit_gate(
    run: Bundle, films: Dataset, fold: Fold | None = None, alarms: float = 0.02, most: int = MAX_FILMS
) -> tuple[Card, bytes]:
    """Fit the detector on a run's films; set each limit on films that the check was not fitted to.

    Features of training films lie closer together than those of new films, so their limit is set on the validation
    films. Thumbnails do not depend on the network: each film is measured by a fit to other patients.

    Args:
        run: an open run.
        films: the data set that it was trained on.
        fold: the held-out fold of a run of a cross-validation.
        alarms: share of films of the same kind that may be refused, all checks together.
        most: training films that are measured.

    Returns:
        the run's card with the checks, and the content of the detector's file.

    Raises:
        SourceError: these are not the films of the run, or there are too few.
    """
    kind = MODALITIES[run.card.modality]
    flips = [name for name, flip in FLIPS.items() if flip.image not in kind.flips]
    train, val = find_splits(run.card, films, fold)
    opened = load_run(run)
    keep_freed_memory()
    classifier = opened.classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    inside = measure(classifier, sample(train, most), opened.preprocess, "training films")
    outside = measure(classifier, val, opened.preprocess, "validation films")
    few = sample(inside.films, MAX_CORRUPTED)
    corrupted = [
        measure(classifier, few, opened.preprocess, f"{name} films", corrupt).features
        for name, corrupt in CORRUPTIONS.items()
    ]
    small, groups = np.concatenate([inside.small, outside.small]), _groups(inside.films, outside.films)
    detector = ood_detector_from_state(fit_numbers(small, inside.features, corrupted, flips))
    columns = crossfit(small, groups, flips=flips).T
    scores = {name: (column, groups) for name, column in zip(detector.on_thumbnail, columns, strict=True)}
    scores["features"] = score(detector, outside.small, outside.features)[:, -1], outside.films.groups()
    for name, column in zip(LUNG_CHECKS, np.concatenate([inside.lungs, outside.lungs]).T, strict=False):
        scores[name] = column, groups
    shares = alarm_shares(tuple(scores), kind)
    checks = tuple(
        fixed_limit(name, found[0])
        if name in FIXED
        else set_limit(name, *found, alarms * shares[name], LEAST.get(name) if kind.lungs else None)
        for name, found in scores.items()
    )
    fitted_on = (
        f"layout of {len(small)} films, crossfitted; "
        f"features of {len(inside.films)} training films, {len(few)} of them also {' and '.join(CORRUPTIONS)}, "
        f"limited on {len(outside.films)} validation films"
    )
    card = run.card.model_copy(update={"gate": Gate(file=OOD_FILE, checks=checks, fitted_on=fitted_on)})
    return card, safetensors.torch.save({name: value.contiguous() for name, value in detector.state_dict().items()})


def alarm_shares(names: Sequence[str], kind: Modality) -> dict[str, float]:
    """The share of the allowed false alarms for each check; pictures of fewer checks share them all."""
    shares = {name: ALARMS.get(name, 0.0) for name in names}
    whole = 1.0 if kind.lungs else sum(shares.values())
    return {name: share / whole for name, share in shares.items()}


def _groups(inside: Dataset, outside: Dataset) -> NDArray[np.int64]:
    """Patients of both sets, which share none."""
    first = inside.groups()
    return np.concatenate([first, outside.groups() + first.max() + 1])


def sample(films: Dataset, most: int) -> Dataset:
    """At most `most` films, the same ones each time."""
    if len(films) <= most:
        return films
    return films.subset(np.sort(np.random.default_rng(0).permutation(len(films))[:most]))


def find_splits(card: Card, films: Dataset, fold: Fold | None) -> tuple[Dataset, Dataset]:
    """The training and validation films of a run.

    Raises:
        SourceError: these are other films.
    """
    settings = card_data_settings(card.training.recipe)
    train, val, _ = train_val_split(fold.split(films)[0] if fold else films, settings)
    if split_hash(train, range(len(train))) != card.training.split_hash:
        raise SourceError(
            f"{films.source}: expected the {card.training.films} films that the run was trained on, these are others; "
            "give --data as it was given to lucency train, and --fold K --folds N for a run of a cross-validation"
        )
    return train, val


def measure(
    classifier: Classifier,
    films: Dataset,
    preprocess: Preprocess,
    doing: str,
    corrupt: Callable[[Pixels], Pixels] = lambda squares: squares,
) -> Measured:
    """Thumbnail and pooled features of every readable film, its squares (n, side, side) corrupted first."""
    decoded = decode_squares(films, preprocess)
    report_skipped(decoded.unreadable)
    rows = []
    for start in track(range(0, len(decoded.pixels), BATCH), doing, len(decoded.pixels), lambda _: BATCH):
        squares = corrupt(np.stack(decoded.pixels[start : start + BATCH]))
        gray = torch.from_numpy(as_input(squares)).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            cropped = classifier.crop_input(gray)
            pooled = classifier.forward_cropped(cropped)[2]
            rows.append((thumbnails(gray), directions(pooled), lung_doubts(cropped)))
    small, features, lungs = (torch.cat(column).double().numpy() for column in zip(*rows, strict=True))
    return Measured(decoded.films, small, features, lungs)


def set_limit(name: str, scores: Floats, groups: NDArray[np.int64], alarms: float, least: float | None = None) -> Check:
    """The limit above which at most a share `alarms` of films of the same kind lie, each patient with equal weight.

    `least`: no limit is lower.
    """
    highest = -fit_conformal(-scores[:, None], np.zeros(len(scores), dtype=np.int64), groups, 1 - alarms)[0]
    limit = max(highest or float(scores.max()), -np.inf if least is None else least)
    if not highest:
        print(
            f"too few validation films to promise {alarms:.1%} false alarms of {name}: the highest score is the limit",
            file=sys.stderr,
        )
    return Check(name=name, limit=limit, alarms=float((scores > np.float32(limit)).mean()))  # type: ignore[arg-type]


def fixed_limit(name: str, scores: Floats) -> Check:
    """The limit that FIXED states, and the share of films of the same kind above it."""
    return Check(name=name, limit=FIXED[name], alarms=float((scores > FIXED[name]).mean()))  # type: ignore[arg-type]


def fit_numbers(
    small: Floats, features: Floats, corrupted: Sequence[Floats] = (), flips: Sequence[str] = FLIP_CHECKS
) -> dict[str, torch.Tensor]:
    """The state for `models.ood_detector.ood_detector_from_state`.

    Args:
        small: (n, 64) or, in colour, (n, 192), thumbnails.
        features: (m, k), directions of features.
        corrupted: directions of features (p, k) of films, one array per corruption.
        flips: which of FLIPS it checks.
    """
    found = {"layout": fit_gaussian(small, DIRECTIONS["layout"])}
    found |= {name: fit_flip(small, FLIPS[name].axis) for name in flips}
    found["features"] = add_corruptions(fit_gaussian(features, DIRECTIONS["features"]), features, corrupted)
    return {f"{name}.{key}": value for name, part in found.items() for key, value in part.items()}


def score(detector: Detector, small: Floats, features: Floats) -> Floats:
    """Scores (n, checks) of films with these thumbnails (n, 64) and directions of features (n, k)."""
    x, y = (torch.from_numpy(part).float() for part in (small, features))
    with torch.inference_mode():
        return np.asarray(detector.numbers(x, y).double().numpy())


def crossfit(
    small: Floats, groups: NDArray[np.int64], others: Floats | None = None, flips: Sequence[str] = FLIP_CHECKS
) -> Floats:
    """Scores of the checks on thumbnails, each film by a fit to other patients: (n, 1 + flips).

    Args:
        small: (n, 64), thumbnails to fit.
        groups: (n,), the patient of each.
        others: (n, 64), thumbnails to score in their place, such as their flips; by default themselves.
        flips: which of FLIPS are checked.
    """
    others = small if others is None else others
    found = np.empty((len(small), 1 + len(flips)))
    nothing = np.eye(MIN_FILMS, 2)  # features are not scored
    for fold in range(FOLDS):
        held = groups % FOLDS == fold
        detector = ood_detector_from_state(fit_numbers(small[~held], nothing, flips=flips))
        found[held] = score(detector, others[held], np.zeros((int(held.sum()), 2)))[:, :-1]
    return found


def fit_gaussian(x: Floats, axes_kept: int) -> dict[str, torch.Tensor]:
    """The state of models.ood_detector.Gaussian by probabilistic PCA (Tipping & Bishop 1999, eq. 7 and 8).

    Args:
        x: (n, d), of training films.
        axes_kept: how many principal directions; the rest is isotropic noise.

    Raises:
        SourceError: fewer than 50 films.
    """
    if len(x) < MIN_FILMS:
        raise SourceError(f"a gate needs at least {MIN_FILMS} training films, received {len(x)}")
    kept = min(axes_kept, len(x) // 4, x.shape[1] - 1)
    mean = x.mean(axis=0)
    _, lengths, axes = np.linalg.svd(x - mean, full_matrices=False)
    spread = np.zeros(x.shape[1])
    spread[: len(lengths)] = lengths**2 / (len(x) - 1)
    noise = max(float(spread[kept:].mean()), 1e-9)
    gains = 1 / np.maximum(spread[:kept], noise) - 1 / noise
    found = {"mean": mean, "directions": axes[:kept], "gains": gains, "noise": np.array([noise])}
    return {name: torch.from_numpy(value).float() for name, value in found.items()}


def add_corruptions(
    found: dict[str, torch.Tensor], features: Floats, corrupted: Sequence[Floats]
) -> dict[str, torch.Tensor]:
    """The Gaussian `found` of `features` (n, d), with one more direction for each corruption (p, d).

        v = C^-1 (mean of the corrupted - mean), |v| = 1;  gain = CORRUPTED_WEIGHT / variance along v

    Fisher's discriminant (1936), C being the covariance of the Gaussian. Features move little when a film is corrupted,
    beside a thousand directions in which films differ; a few corrupted films (outlier exposure, Hendrycks, Mazeika &
    Dietterich 2019) make the distance see it.
    """
    if not corrupted:
        return found
    mean, axes, gains, noise = (found[name].double().numpy() for name in ("mean", "directions", "gains", "noise"))
    moved = np.stack([part.mean(axis=0) - mean for part in corrupted])
    ways = moved / noise + (moved @ axes.T * gains) @ axes
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-12)
    spread = np.maximum(((features - mean) @ ways.T).var(axis=0), 1e-12)
    more = {"directions": np.concatenate([axes, ways]), "gains": np.concatenate([gains, CORRUPTED_WEIGHT / spread])}
    return found | {name: torch.from_numpy(value).float() for name, value in more.items()}


def fit_flip(small: Floats, axis: int) -> dict[str, torch.Tensor]:
    """The state of models.ood_detector.LinearProbe: logistic regression of thumbnails against their flips.

    Args:
        small: (n, 64 · channels), of training films.
        axis: 1 flips top and bottom; 2, left and right.
    """
    from sklearn.linear_model import LogisticRegression

    turned = np.flip(small.reshape(len(small), -1, CELLS, CELLS), axis + 1).reshape(small.shape)
    rule = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1000)
    rule.fit(np.concatenate([small, turned]), np.repeat([0, 1], len(small)))
    found = {"weight": rule.coef_.T, "bias": rule.intercept_}
    return {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in found.items()}
