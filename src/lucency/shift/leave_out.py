"""Leave-one-block-out validation inside a training set.

A data set has films of several settings: machines, processing, wards, years. Random folds have films of each setting on
both sides, so every recipe scores well. Here a model is trained without a whole block and evaluated on that block
against films of the other class, held out by patient. The worst block predicts performance at a new hospital better
than the mean of random folds.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lucency.arrays import Bools, Floats, Ints
from lucency.data.dataset import Dataset, Sample
from lucency.data.splits import stratified_group_kfold
from lucency.errors import SourceError, UsageError
from lucency.evaluate.confidence_intervals import auroc_interval
from lucency.evaluate.metrics import auroc
from lucency.progress import track

FOLDS = 5
"""Each block is evaluated against a fifth of the other class, by patient."""
MIN_FILMS = 5
"""Films below which a block is not evaluated."""
STRENGTH = 1e-3
"""C of the logistic regression: few films and many features."""
NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")

Score = Callable[[Ints, Ints], Floats]
"""(training indices, indices to score) → how likely each has the finding, in any unit."""


@dataclass(frozen=True)
class BlockResult:
    """The metrics of one block."""

    block: str
    label: str
    """The label of its films."""
    films: int
    patients: int
    auroc: float
    low: float | None
    high: float | None
    """95 % interval by patient."""


@dataclass(frozen=True)
class LeaveOut:
    """All blocks, the worst first."""

    blocks: tuple[BlockResult, ...]
    small: tuple[str, ...]
    """Blocks of fewer than MIN_FILMS films, not evaluated."""

    @property
    def mean(self) -> float:
        """Mean AUROC over blocks."""
        return float(np.mean([block.auroc for block in self.blocks]))

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain dicts."""
        return {"mean_auroc": self.mean, "worst": self.blocks[0].block, **asdict(self)}


def blocks_by(films: Dataset, by: str) -> list[str | None]:
    """The block of each film, None where it is in no block. All films of a block have the same class.

    Args:
        films: binary.
        by: `id:50` (fifty successive numbers of the patient, or of the film, are a block), `date:200` (200 successive
            films by the column `date`), `size:10` (ten equal parts by width times height), `cluster:8` (eight clusters
            of sharpness, noise, contrast and tone), or `column:NAME` (the values of a column).

    Raises:
        UsageError: `by` is none of these, or its number is not positive.
        SourceError: the films lack the column `date`.
    """
    name, _, rest = by.partition(":")
    if name == "column" and rest:
        return _with_label(films, [sample.columns.get(rest) for sample in films.samples])
    if name not in BLOCKERS or not (rest or "0").isdigit():
        raise UsageError(
            f"expected --by {', '.join(BLOCKERS)}, each with a number as in id:50, or column:NAME, got '{by}'"
        )
    make, default = BLOCKERS[name]
    return _with_label(films, make(films, int(rest or 0) or default))


def blocks_from(films: Dataset, table: Path) -> list[str | None]:
    """The block of each film from a TOML file: block = ["PATTERN", …], patterns of names or patients with * and ?, or
    `PREFIX LOW-HIGH` for numbers.

    Raises:
        SourceError: the file cannot be read, or a block matches no film.
    """
    try:
        wanted = tomllib.loads(table.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"{table}: cannot be read as blocks: {error}") from None
    found: list[str | None] = [None] * len(films)
    for block, patterns in wanted.items():
        if not isinstance(patterns, list):
            raise SourceError(f'{table}: expected {block} = ["PATTERN", …]')
        hits = [i for i, sample in enumerate(films.samples) if any(_matches(sample, str(p)) for p in patterns)]
        if not hits:
            raise SourceError(f"{table}: block {block} matches no film")
        for index in hits:
            found[index] = block
    return _with_label(films, found)


def leave_out(films: Dataset, blocks: Sequence[str | None], score: Score, resamples_seed: int = 0) -> LeaveOut:
    """Leave each block out, train on the rest, and evaluate it against a held-out fifth of the other class.

    Patients of the block and of the fifth have no film in the training set.

    Args:
        films: binary.
        blocks: (n,), the block of each film, None for none.
        score: trains and scores.
        resamples_seed: of the fifth.

    Raises:
        SourceError: a class with fewer than five patients, or no block with MIN_FILMS films.
    """
    labels, groups = films.label_array(), films.groups()
    fifth = np.zeros(len(films), dtype=bool)
    fifth[stratified_group_kfold(films, FOLDS, resamples_seed)[0][1]] = True

    def evaluate(inside: Bools) -> tuple[Ints, Floats]:
        held = inside | (fifth & (labels != labels[inside][0]))
        train = ~np.isin(groups, groups[held])
        where = np.flatnonzero(held)
        return where, score(np.flatnonzero(train), where)

    return _evaluate_blocks(films, blocks, evaluate)


def evaluate_blocks(films: Dataset, blocks: Sequence[str | None], scores: Floats) -> LeaveOut:
    """Evaluate each block by out-of-fold scores (n,), against all films of the other class."""
    labels = films.label_array()

    def evaluate(inside: Bools) -> tuple[Ints, Floats]:
        where = np.flatnonzero(inside | (labels != labels[inside][0]))
        return where, scores[where]

    return _evaluate_blocks(films, blocks, evaluate)


def logistic_on(features: Floats, labels: Ints) -> Score:
    """A logistic regression on standardised features (n, k), fitted for each block."""

    def score(train: Ints, where: Ints) -> Floats:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rule = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=500)
        model = make_pipeline(StandardScaler(), rule).fit(features[train], labels[train])
        return np.asarray(model.decision_function(features[where]), dtype=np.float64)

    return score


def table(found: LeaveOut) -> str:
    """The blocks for a terminal, the worst first."""
    wide = max(len("block"), *(len(one.block) for one in found.blocks)) + 2
    lines = [f"{'block':{wide}}{'films':>6}{'patients':>10}  AUROC"]
    for one in found.blocks:
        interval = "" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})"
        lines.append(f"{one.block:{wide}}{one.films:>6}{one.patients:>10}  {one.auroc:.3f}{interval}")
    worst = found.blocks[0]
    lines += ["", f"worst: {worst.block}, {worst.auroc:.3f}; mean of {len(found.blocks)} blocks {found.mean:.3f}"]
    if found.small:
        lines.append(f"not evaluated, fewer than {MIN_FILMS} films: {', '.join(found.small)}")
    return "\n".join(lines)


def _evaluate_blocks(
    films: Dataset, blocks: Sequence[str | None], evaluate: Callable[[Bools], tuple[Ints, Floats]]
) -> LeaveOut:
    labels, groups = films.label_array(), films.groups()
    places = np.array([block or "" for block in blocks])
    names = [name for name in dict.fromkeys(places.tolist()) if name]
    large = [name for name in names if (places == name).sum() >= MIN_FILMS]
    if not large:
        raise SourceError(f"{films.source}: expected a block of at least {MIN_FILMS} films, found {len(names)} smaller")
    found = []
    for name in track(large, "leaving blocks out", len(large)):
        inside = places == name
        where, scores = evaluate(inside)
        truth = labels[where] == 1
        low, high = auroc_interval(truth, scores, np.unique(groups[where], return_inverse=True)[1]) or (None, None)
        patients = len(np.unique(groups[inside]))
        label = films.labels[int(labels[inside][0])]
        found.append(BlockResult(name, label, int(inside.sum()), patients, auroc(truth, scores), low, high))
    small = tuple(name for name in names if name not in large)
    return LeaveOut(tuple(sorted(found, key=lambda one: one.auroc)), small)


def _with_label(films: Dataset, blocks: Sequence[str | None]) -> list[str | None]:
    """Split a block with films of both classes into one for each class."""
    labels = films.label_array()
    if films.task != "binary":
        raise UsageError(f"blocks are evaluated against the other class; expected a binary task, got {films.task}")
    both = {block for block in blocks if len({int(k) for k, b in zip(labels, blocks, strict=True) if b == block}) > 1}
    return [
        f"{films.labels[int(label)]} {block}" if block in both and block is not None else block
        for label, block in zip(labels, blocks, strict=True)
    ]


def _number(sample: Sample) -> tuple[str, int] | None:
    """The patient's (or film's) name without its last number, and that number."""
    match = NUMBER.match(sample.patient or Path(sample.name).stem)
    return (f"{match[1]}{match[3]}".strip("-_"), int(match[2])) if match else None


def _matches(sample: Sample, pattern: str) -> bool:
    span = re.fullmatch(r"(.*) (\d+)-(\d+)", pattern)
    if span and (numbered := _number(sample)):
        return numbered[0] == span[1] and int(span[2]) <= numbered[1] <= int(span[3])
    names = (sample.patient or "", sample.name, Path(sample.name).name)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _by_id(films: Dataset, size: int) -> list[str | None]:
    found: list[str | None] = []
    for sample in films.samples:
        numbered = _number(sample)
        low = numbered[1] // size * size if numbered else 0
        found.append(f"{numbered[0]} {low}-{low + size - 1}".strip() if numbered else None)
    return found


def _by_date(films: Dataset, size: int) -> list[str | None]:
    dates = [sample.columns.get("date", "") for sample in films.samples]
    if not any(dates):
        raise SourceError(f"{films.source}: expected a column 'date' to make blocks by, found none")
    found: list[str | None] = [None] * len(films)
    for label in (0, 1):
        order = sorted(
            (i for i, date in enumerate(dates) if date and films.samples[i].label == label), key=dates.__getitem__
        )
        for start in range(0, len(order), size):
            part = order[start : start + size]
            for index in part:
                found[index] = f"{films.labels[label]} {dates[part[0]]} to {dates[part[-1]]}"
    return found


def _by_size(films: Dataset, parts: int) -> list[str | None]:
    from lucency.audit.measurements import measure_films

    measured = measure_films(films)
    pixels = measured.rows["width"].astype(np.float64) * measured.rows["height"]
    edges = np.unique(np.quantile(pixels, np.linspace(0, 1, parts + 1)))
    places = np.clip(np.searchsorted(edges, pixels, side="right") - 1, 0, max(len(edges) - 2, 0))
    names = [f"{edges[p] / 1e6:.2f} to {edges[min(p + 1, len(edges) - 1)] / 1e6:.2f} megapixels" for p in places]
    return _of_readable(films, measured.films, names)


def _by_cluster(films: Dataset, count: int) -> list[str | None]:
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    from lucency.data.acquisition_pairs import squares_of

    squares = squares_of(films)
    features = [[one.sharpness, one.noise, *one.tone, *one.contrast.ravel()] for one in squares.acquisitions]
    scaled = StandardScaler().fit_transform(np.array(features, dtype=np.float64))
    places = KMeans(min(count, len(scaled)), n_init=10, random_state=0).fit_predict(scaled)
    return _of_readable(films, squares.films, [f"cluster {place + 1}" for place in places])


def _of_readable(films: Dataset, readable: Dataset, blocks: Sequence[str]) -> list[str | None]:
    known = {sample.name: block for sample, block in zip(readable.samples, blocks, strict=True)}
    return [known.get(sample.name) for sample in films.samples]


BLOCKERS: dict[str, tuple[Callable[[Dataset, int], list[str | None]], int]] = {
    "id": (_by_id, 50),
    "date": (_by_date, 200),
    "size": (_by_size, 10),
    "cluster": (_by_cluster, 8),
}
"""Name → (blocks of films, default number)."""
