"""Export a run: convert, quantise, check, add golden outputs, write the bundle whole or not at all.

int8 measures activation ranges on a stratified sample of the run's own training films.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lucency.bundle import Bundle, Card, open_bundle, write_bundle
from lucency.bundle.card import IMPORTED, Quantize
from lucency.bundle.store import FOLDER, GOLDEN, Golden, GoldenFilm, Tolerance, golden_bytes
from lucency.data import population
from lucency.data.dataset import Dataset, decode_squares, report_skipped
from lucency.data.learned import LEARNED, hashes_of, read_learned
from lucency.data.phantom import draw
from lucency.data.splits import Fold, split_hash, strata, train_val_split
from lucency.errors import ExportError, UsageError
from lucency.export import TARGETS, Target, TargetName
from lucency.files import sha256_bytes
from lucency.film import Film
from lucency.preprocess import Preprocess
from lucency.reader import ENGINES
from lucency.reader.outputs import Engine
from lucency.recipe import card_data_settings

LICENCE = "LICENSE"
GOLDEN_FILMS = {"normal": (11, False), "pneumonia": (11, True), "normal-2": (12, False), "pneumonia-2": (13, True)}
"""Phantoms, not patients' films: name → (seed, pneumonia). The first two differ only by the pneumonia."""
GOLDEN_SIDE = 320
"""Rows of a golden film: enough to be reduced, small enough to ship."""
FLOAT = Tolerance(logit=1e-3, probability=1e-3, map=1e-2, doubt=1e-2)
INT8 = Tolerance(logit=0.5, probability=0.1, map=2.0, doubt=0.25)
"""Other kernels round the last bit differently, which propagates through the layers. On two int8 files' golden films,
LiteRT's own kernels and its reference kernels were at most 0.46, 0.094, 1.43 and 0.14 from XNNPACK, which itself gave
the same bits on one, two and four threads (benchmarks/kernels.py)."""


def export_run(
    path: Path,
    to: TargetName,
    out: Path,
    quantize: Quantize = "none",
    squares: NDArray[np.uint8] | None = None,
    replace: bool = False,
    film_hashes: bool = True,
) -> Card:
    """Write the bundle `out` for one target.

    Args:
        path: a run.
        to: a row of TARGETS.
        out: a new directory.
        quantize: none, or a key of the target's `quantize`.
        squares: uint8 (n, side, side), training films for the activation ranges of int8.
        replace: whether to overwrite an existing bundle.
        film_hashes: whether the bundle keeps the hashes of the films learned from (lucency.data.learned).

    Returns:
        the card as written.

    Raises:
        UsageError: no such target or quantisation.
        BundleError: `path` is not a run, or is altered.
        ExportError: the network cannot be written for this target, or its converter is not installed.
        OutputError: `out` holds a bundle already, or cannot be written.
    """
    target = find_target(to, quantize)
    run = open_bundle(path)
    content, outputs = _convert(run, target)
    if quantize != "none":
        content = target.quantize[quantize](content, squares)
        target.check(content, outputs)
    card = _export_card(run.card, to, target.file, quantize)
    licence = f"{card.name}: weights and bundle under {card.licence or 'no licence stated'}.\n".encode()
    files = {target.file: content, LICENCE: licence}
    files |= {name: run.read(name) for name in (LEARNED,) if film_hashes and name in run.card.files}
    return write_bundle(out, card, {**files, **_golden_files(card, files)}, replace)


def find_target(to: str, quantize: str) -> Target:
    """The row of TARGETS.

    Raises:
        UsageError: no such target, or it has no such quantisation.
    """
    if to not in TARGETS:
        raise UsageError(f"expected --to to be one of {', '.join(TARGETS)}; received '{to}'")
    target: Target = TARGETS[to]
    if quantize != "none" and quantize not in target.quantize:
        raise UsageError(f"{to}: expected --quantize {', '.join(['none', *target.quantize])}; received '{quantize}'")
    return target


def _convert(run: Bundle, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The run's float32 file, checked, and the names of its outputs."""
    try:
        from lucency.export.network import ExportNetwork
        from lucency.models.ood_detector import load_ood_detector
        from lucency.models.run import load_run
    except ImportError as error:
        raise ExportError(f"exporting needs PyTorch; pip install 'lucency[export]' ({error})") from error
    network = ExportNetwork(load_run(run).classifier, run.card, load_ood_detector(run))
    print(f"converting {run.card.model.backbone} to {target.file}, which takes half a minute", file=sys.stderr)
    content = target.convert(network, run.card.preprocess.image_size)
    target.check(content, network.outputs)
    return content, network.outputs


def _export_card(run: Card, to: TargetName, file: str, quantize: Quantize) -> Card:
    """The card of a run's export. The recipe keeps the name of a weights file, but not its folder."""
    recipe = {**run.training.recipe}
    if isinstance(recipe.get("model"), dict):
        recipe["model"] = {**recipe["model"], "weights": PurePath(recipe["model"].get("weights", "none")).name}
    model = {
        "format": to,
        "file": file,
        "quantize": quantize,
        "source": run.files[run.model.file],
        "architecture": None,
    }
    return run.model_copy(
        update={
            "model": run.model.model_copy(update=model),
            "calibration": run.calibration.model_copy(update={"in_graph": True}),
            "gate": run.gate.model_copy(update={"file": None}),
            "training": run.training.model_copy(update={"recipe": recipe}),
            "population": run.population if run.population.words else population(run.training.source),
            "parity": None,
            "files": {},
        }
    )


def _golden_files(card: Card, files: dict[str, bytes]) -> dict[str, bytes]:
    """Golden outputs by the engine that readers use, over the file in memory."""
    hashes = {name: sha256_bytes(content) for name, content in files.items()}
    load: Callable[[str], bytes] = files.__getitem__
    engine = ENGINES[card.model.format](Bundle(Path("export"), card.model_copy(update={"files": hashes}), "", load), 1)
    return golden_files(card, engine)


def golden_files(card: Card, engine: Engine) -> dict[str, bytes]:
    """The files of a bundle's golden folder, with the outputs of `engine`, an opened network of the bundle."""
    preprocess = Preprocess.from_json(card.preprocess.model_dump())
    films = {name: draw(seed, positive, side=GOLDEN_SIDE).film for name, (seed, positive) in GOLDEN_FILMS.items()}
    if preprocess.channels == 3:
        films = {name: in_colour(film) for name, film in films.items()}
        squares = {name: preprocess(Film.of_rgb(film, name)) for name, film in films.items()}
    else:
        squares = {name: preprocess(Film(film, name=name)) for name, film in films.items()}
    outputs = engine.batch(np.stack(list(squares.values())))
    files: dict[str, bytes] = {}
    rows: list[GoldenFilm] = []
    for row, name in enumerate(films):
        film, square = f"{FOLDER}/{name}.png", f"{FOLDER}/{name}.square.png"
        files |= {film: _png(films[name]), square: _png(squares[name])}
        rows.append(
            GoldenFilm(
                film=film,
                square=square,
                logits=outputs.logits[row].tolist(),
                probabilities=outputs.probabilities[row].tolist(),
                maps=outputs.maps[row].tolist(),
                doubts=outputs.doubts[row].tolist(),
            )
        )
    golden = Golden(tolerance=INT8 if card.model.quantize == "int8" else FLOAT, films=tuple(rows))
    return {**files, GOLDEN: golden_bytes(golden)}


def in_colour(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A drawn film, uint8 (h, w), as a picture in colour (h, w, 3): red as drawn, green mirrored, blue upside down."""
    return np.stack([gray, gray[:, ::-1], gray[::-1]], axis=2)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


SAMPLE = 256
"""Films to measure on: seconds of work, and some of each kind of film."""


def training_films(run: Bundle, films: Dataset, fold: Fold | None) -> Dataset:
    """The training films of a run, among `films`: by the split, or else by the hashes that it keeps of them.

    Args:
        run: a run; without hashes it says its split alone.
        films: the data set that it was trained on.
        fold: the held-out fold of a run of a cross-validation; not needed where the run keeps hashes.

    Raises:
        ExportError: these are other films.
        BundleError: the run's hashes are not valid.
    """
    training = run.card.training
    if training.source == IMPORTED:
        return films  # which films it learned from is not known here
    train, _, _ = train_val_split(fold.split(films)[0] if fold else films, card_data_settings(training.recipe))
    if split_hash(train, range(len(train))) == training.split_hash:
        return train
    learned = read_learned(run)
    known = [k for k, one in enumerate(hashes_of(films)) if one & learned.train] if learned else []
    if known:
        return films.subset(known)
    raise ExportError(
        f"{films.source}: expected the {training.films} training films of the run, these are others; "
        "give --data as it was given to lucency train, and --fold K --folds N for a run of a cross-validation"
    )


def calibration_squares(run: Bundle, films: Dataset, fold: Fold | None, count: int = SAMPLE) -> NDArray[np.uint8]:
    """Squares of training films, uint8 (n, side, side), n about `count`.

    Raises:
        ExportError: `films` are not those that the run was trained on.
        SourceError: none of them can be read.
    """
    train = training_films(run, films, fold)
    chosen = train.subset(stratified_sample(train, count))
    decoded = decode_squares(chosen, Preprocess.from_json(run.card.preprocess.model_dump()))
    report_skipped(decoded.unreadable)
    print(f"ranges are measured on {len(decoded.pixels)} training films, as many of each kind", file=sys.stderr)
    return np.stack(decoded.pixels)


def stratified_sample(films: Dataset, count: int) -> NDArray[np.int64]:
    """Indices of about `count` films, equally many of each stratum, each patient once if possible; deterministic.

    Rare strata count as much as common ones: they may have the widest ranges.
    """
    kinds = strata(films)
    share = -(-count // kinds.shape[1])
    groups = films.groups()
    chosen: list[int] = []
    for column in range(kinds.shape[1]):
        members = np.flatnonzero(kinds[:, column])
        _, firsts = np.unique(groups[members], return_index=True)
        order = np.concatenate([members[np.sort(firsts)], np.delete(members, firsts)])
        chosen += _evenly_spaced(order[: max(len(firsts), share)], share)
    return np.sort(np.array(chosen, dtype=np.int64))


def _evenly_spaced(items: NDArray[np.int64], count: int) -> list[int]:
    """`count` of the items, or all if there are fewer."""
    if len(items) > count:
        items = items[np.linspace(0, len(items) - 1, count).round().astype(int)]
    return [int(item) for item in items]
