"""The functions of `import lucency`, in the words of the command line. Each imports what it needs when called."""

from __future__ import annotations

import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucency.bundle import DEFAULT, SHIPPED, open_bundle
from lucency.errors import UsageError, name_extra
from lucency.reader import Reader

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from lucency.audit import Audit
    from lucency.bundle.card import Quantize
    from lucency.data import Dataset
    from lucency.evaluate import Report
    from lucency.explain.explanation import Explanation
    from lucency.export import TargetName
    from lucency.film.film import FilmLike
    from lucency.recipe import Recipe

    Row = dict[str, float]


MODEL_FILES = (".h5", ".hdf5", ".keras")
"""Suffixes of Keras's model files."""


def load(source: Path | str | None = None, threads: int = 1) -> Reader:
    """Open what reads films.

    >>> reader = lucency.load()
    >>> reading = reader.read(film)
    >>> reading
    <Reading pneumonia 0.990: pneumonia (0.89 or more)>
    >>> reading.map.shape
    (24, 24)

    Args:
        source: a run or bundle (a folder or its .zip), a Keras file that rescales its input by itself, or the name of a
            bundle that ships, `default` or `int8`; without it `default`.
        threads: films that are read side by side in a batch.

    Returns:
        a reader; of a run a `Run`.

    Raises:
        BundleError: missing, altered, from a newer lucency, or in need of a library that is not installed.
        UsageError: neither a path nor a name.
    """
    if source is not None and not isinstance(source, str | Path):
        raise UsageError(f"expected the path of a run or bundle, or a name, got {type(source).__name__}")
    path = DEFAULT if source is None else Path(source)
    if not path.exists() and str(source) in SHIPPED:
        path = SHIPPED[str(source)]
    if path.suffix.lower() in MODEL_FILES:
        return _imported(path)
    bundle = open_bundle(path)
    return (Run if bundle.card.model.format == "torch" else Reader)(bundle, threads)


def train(
    data: Dataset | Path | str,
    recipe: Recipe | Mapping[str, Any] | Path | str = "lecture",
    out: Path | str | None = None,
    *,
    weights: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    cache: Path | str | None = None,
) -> Run:
    """Train by a recipe, write the run and open it. Needs lucency[train]. A notebook shows the curves as they come.

    >>> tiny = {
    ...     "name": "tiny",
    ...     "data": {"image_size": 32},
    ...     "model": {"backbone": "mobilenet_v1", "width": 0.25, "depth": 1, "head": "linear"},
    ...     "head": {"epochs": 1},
    ... }
    >>> run = lucency.train("phantom:24", tiny, folder / "run")
    >>> run.card.labels, list(run.history)
    (('normal', 'pneumonia'), ['head'])

    Args:
        data: a data set, or what `read_dataset` takes.
        recipe: the name of one that ships (`lucency recipes` lists them), a TOML file, or its content.
        out: folder of the run; new, or an unfinished run where `resume` is set. Without it a new one below `runs`.
        weights: pretrained weights in place of the recipe's: imagenet, a file, or none.
        seed: in place of the recipe's.
        resume: continue from the last whole epoch, to the same result as without the stop.
        cache: folder of the feature cache; `cache` beside `out` by default.

    Raises:
        RecipeError, SourceError, WeightsError, TrainingError, OutputError: the message says what to do.
    """
    from lucency.native_output import quiet

    if isinstance(data, Mapping):
        raise UsageError("expected lucency.train(data, recipe), films first; got a recipe as data")
    if resume and out is None:
        raise UsageError("resume: expected the folder of the unfinished run as out")
    chosen = _recipe(recipe, weights, seed)
    with name_extra("train"), quiet:  # in a notebook tqdm, below Lightning, asks for widgets that nothing here uses
        from lucency.train import train_run
        from lucency.train.manifest import new_run
        from lucency.train.metrics import live_curves
    folder = new_run(chosen.name) if out is None else Path(out)
    train_run(chosen, _dataset(data), folder, Path(cache) if cache else folder.parent / "cache", resume, live_curves())
    return Run(open_bundle(folder))


def import_model(
    model: Path | str,
    out: Path | str,
    classes: Sequence[str] = ("NORMAL", "PNEUMONIA"),
    *,
    pixel_range: str | None = None,
    data: Dataset | Path | str | None = None,
    **options: Any,
) -> Run:
    """Make a run of a network that Keras saved, or a bundle of a .onnx or .tflite classifier, and open it.

    Needs lucency[keras]; TensorFlow for a SavedModel alone.

    >>> run = lucency.import_model("xray_model.h5", "runs/mine", pixel_range="0..1")     # doctest: +SKIP

    Args:
        model: .h5, .keras, .onnx, .tflite, or the folder of a SavedModel.
        out: folder of the run; new.
        classes: names of the outputs in their order; of one sigmoid unit (0, 1).
        pixel_range: 0..1, 0..255, -1..1, imagenet or caffe; needed where the network does not rescale by itself.
        data: labelled films on which each range and resize mode left open is tried.
        options: further fields of `lucency.importing.ImportOptions`.

    Raises:
        WeightsError: no model file, broken, or with a layer that is not supported.
        UsageError: classes that do not fit the outputs, or no range and no data.
        OutputError: `out` holds a run, or cannot be written.
    """
    with name_extra("keras"):
        from lucency.importing import import_model as write

    films = None if data is None else _dataset(data)
    return Run(open_bundle(write(model, out, classes, pixel_range=pixel_range, films=films, **options).path))


def evaluate(
    reader: Reader | Path | str,
    data: Dataset | Path | str,
    *,
    split: str | None = None,
    only_unseen: bool = False,
    threshold: float | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """Evaluate a reader on labelled films: every metric with its 95 % interval, by patient. Needs lucency[evaluate].

    Films that cannot be read are left out and named on stderr.

    >>> report = lucency.evaluate(lucency.load(), "phantom:40:7", resamples=100)
    >>> report.films, report.patients_known
    (40, True)
    >>> 0 <= report.measure("auroc").value <= 1
    True

    Args:
        reader: an open reader, or a bundle or run.
        data: a data set, or what `read_dataset` takes.
        split: train, test, all, or val: what chose a run's checkpoint; the test split where there is one, else all.
        only_unseen: leave out the films that the reader learned from; else they are counted on stderr.
        threshold: a finding is called at or above this probability; the card's by default.
        resamples: bootstrap draws of patients for the intervals.
        seed: of the draws; the same seed gives the same report.

    Raises:
        BundleError: no bundle or run.
        SourceError: no film can be read, no such split, or labels that the reader does not know.
    """
    from lucency.data.dataset import report_skipped
    from lucency.data.learned import fresh_films

    opened = _reader(reader)
    with name_extra():
        from lucency.evaluate import evaluate_predictions
        from lucency.reader.predict import predict
    named = str(data) if isinstance(data, str | Path) else "data"
    given = _dataset(data, classes=1)
    films, _, seen = fresh_films(given, split, opened.bundle, named, [opened.bundle] if only_unseen else ())
    if len(seen):
        print(seen.line(), file=sys.stderr)
    predicted = predict(opened, films)
    report_skipped(predicted.unreadable)
    point = opened.card.operating_point.threshold if threshold is None else threshold
    return evaluate_predictions(predicted.predictions, point, resamples, seed)


def explain(
    reader: Reader | Path | str,
    film: FilmLike,
    method: str = "cam",
    *,
    finding: str | None = None,
    opposite: bool = False,
    layer: str | None = None,
) -> Explanation:
    """Where a reader looked on one film. A notebook shows film, overlay, map and scale.

    >>> lucency.explain(lucency.load(), film)
    <Explanation by cam, 24 × 24 cells>

    Args:
        reader: an open reader, or a bundle or run.
        film: what `Reader.read` takes.
        method: `cam` or `occlusion`; of a run any row of docs/explaining.md.
        finding: which label, where there are several; the one that the reading speaks of.
        opposite: ask what speaks against the finding.
        layer: draw from this layer, for `grad_cam` and its kin.

    Raises:
        ExplainError: no such method or layer, or the bundle does not support it.
        UsageError: no such label.
        FilmError: the film cannot be read.
    """
    from lucency.explain.explanation import Explanation, bind, evidence_for, label_index
    from lucency.film import as_film
    from lucency.modality import MODALITIES
    from lucency.paint import Legend

    opened, taken = _reader(reader), as_film(film)
    with name_extra():
        bound = bind(opened, method, opposite=opposite, layer=layer)
    reading, asked = opened.read(taken), label_index(opened, finding)
    index = reading.index if asked is None else asked
    title = f"{reading.answer} · {method}"
    kind = MODALITIES[opened.card.modality]
    legend = Legend(bound.limit, evidence_for(opened, index, opposite), bound.unit, title, bound.mark, kind)
    evidence = bound.explain(opened.preprocess(taken), index)
    return Explanation(method, evidence, taken, opened.preprocess, legend, opened.lung_outline(taken))


def export(
    run: Reader | Path | str,
    out: Path | str,
    *,
    to: TargetName = "litert",
    quantize: Quantize = "none",
    data: Dataset | Path | str | None = None,
    replace: bool = False,
) -> Reader:
    """Write a run as one small file for a phone, with the bundle around it, and open it. Needs lucency[export].

    >>> bundle = lucency.export(run, folder / "bundle", to="onnx")
    >>> bundle.card.model.format
    'onnx'

    Args:
        run: an open run, or its folder.
        out: folder of the bundle.
        to: litert or onnx.
        quantize: none, float16, int8, or weights.
        data: films the run was trained on, which int8 measures its ranges on.
        replace: write over a bundle that is there.

    Raises:
        UsageError: no such target or edition, or int8 without `data`.
        BundleError: no run.
        ExportError: the network cannot be written for this target.
        OutputError: `out` holds a bundle, or cannot be written.
    """
    with name_extra("export"):
        from lucency.export.exporter import calibration_squares, export_run

    path = Path(run if isinstance(run, str | Path) else run.bundle.path)
    squares = None
    if quantize == "int8":
        if data is None:
            raise UsageError("int8 measures its ranges on films that the run was trained on: give data")
        squares = calibration_squares(open_bundle(path), _dataset(data), None)
    export_run(path, to, Path(out), quantize, squares, replace)
    return load(out)


def audit(data: Dataset | Path | str) -> Audit:
    """Look at every film of a data set: leaks, duplicates, odd films, shortcuts. Needs lucency[evaluate].

    >>> found = lucency.audit("phantom:40")
    >>> found.invalid
    ()

    Args:
        data: a data set, or what `read_dataset` takes.

    Raises:
        SourceError: the data cannot be read.
    """
    with name_extra():
        from lucency.audit import audit as run

    return run(_dataset(data))


def _imported(path: Path) -> Run:
    """The network of a Keras file, in a folder that goes when the run does."""
    folder = tempfile.TemporaryDirectory(prefix="lucency-")
    run = import_model(path, Path(folder.name) / path.stem)
    weakref.finalize(run, folder.cleanup)
    return run


def _recipe(recipe: Recipe | Mapping[str, Any] | Path | str, weights: str | None, seed: int | None) -> Recipe:
    from lucency.recipe import Recipe, parse_recipe, read_recipe

    if isinstance(recipe, Mapping):
        chosen = parse_recipe(dict(recipe), "recipe")
    elif isinstance(recipe, str | Path):
        chosen = read_recipe(recipe)
    elif isinstance(recipe, Recipe):
        chosen = recipe
    else:
        raise UsageError(f"expected a recipe by name, file or content, got {type(recipe).__name__}")
    content = chosen.model_dump()
    content["model"] |= {} if weights is None else {"weights": str(weights)}
    content |= {} if seed is None else {"seed": seed}
    return parse_recipe(content, chosen.name)


def _dataset(data: Dataset | Path | str, classes: int = 2) -> Dataset:
    from lucency.data import Dataset, read_dataset

    if isinstance(data, Dataset):
        return data
    if not isinstance(data, str | Path):
        raise UsageError(f"expected films: a folder, a table, phantom:N or a Dataset, got {type(data).__name__}")
    films = read_dataset(data, classes=classes)
    films.require_complete()
    return films


def _reader(reader: Reader | Path | str) -> Reader:
    return reader if isinstance(reader, Reader) else load(reader)


class Run(Reader):
    """A trained run: a reader that can also be evaluated, explained and exported. A notebook shows its curves."""

    @property
    def history(self) -> dict[str, list[Row]]:
        """Phase -> metrics, a row per epoch."""
        from lucency.train.metrics import read_history

        return read_history(self.bundle.path)

    def evaluate(self, data: Dataset | Path | str, **options: Any) -> Report:
        """`lucency.evaluate` of this run."""
        return evaluate(self, data, **options)

    def explain(self, film: FilmLike, method: str = "grad_cam", **options: Any) -> Explanation:
        """`lucency.explain` by this run."""
        return explain(self, film, method, **options)

    def export(self, out: Path | str, **options: Any) -> Reader:
        """`lucency.export` of this run."""
        return export(self, out, **options)

    def plot(self) -> Figure:
        """The curves of training: loss, accuracy, AUROC and recall by epoch."""
        from lucency.train.metrics import draw_history

        return draw_history(self.history)

    def to_pandas(self) -> DataFrame:
        """The history, a row per epoch.

        Raises:
            ExtraError: pandas is not installed.
        """
        from lucency.tables import data_frame

        return data_frame([{"phase": phase, **row} for phase, rows in self.history.items() for row in rows])

    def __repr__(self) -> str:
        return f"<Run {self.bundle.path}: {self.card.name}, {self.card.training.films:,} films learned from>"

    def _repr_html_(self) -> str:
        from lucency.html import figure_html, notebook_block

        return notebook_block(repr(self).strip("<>"), figure_html(self.plot()) if self.history else "")
