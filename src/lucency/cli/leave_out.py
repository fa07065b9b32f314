"""`lucency leave-out`: leave-one-block-out validation inside a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from lucency.cli.inputs import DataOptions, Json, Source, read_films
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.arrays import Floats, Pixels
    from lucency.data import Dataset
    from lucency.film import Film

IMAGE_SIZE = 192


def leave_out(
    data: Annotated[str, typer.Argument(help="Labelled films of two classes.")],
    by: Annotated[
        str, typer.Option(help="id:50, date:200, size:10, cluster:8 or column:NAME: how films form blocks.")
    ] = "id:50",
    blocks: Annotated[
        Path | None, typer.Option(help='TOML of blocks instead: name = ["PATTERN", "PREFIX 700-749"].')
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Out-of-fold predictions.csv, to evaluate instead of training.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Weights of the frozen backbone.")] = "imagenet",
    source: Source = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for leave_out.json.")] = None,
    json: Json = False,
) -> None:
    """Leave blocks of films out in turn, train on the rest, and report each block, the worst first.

    By default a logistic regression on frozen ImageNet features of the lungs' box is trained for each block, which
    takes minutes. Each block is evaluated against a fifth of the other class, held out by patient.

    Example: lucency leave-out chest_xray --by id:50 --out blocks
    """
    from json import dumps

    from lucency.files import write_text
    from lucency.shift import leave_out as blockwise

    films = read_films(data, DataOptions(source))
    places = blockwise.blocks_from(films, blocks) if blocks else blockwise.blocks_by(films, by)
    if predictions:
        films, places, scores = _predicted(films, places, predictions)
        found = blockwise.evaluate_blocks(films, places, scores)
    else:
        films, places, features = _features(films, places, weights)
        found = blockwise.leave_out(films, places, blockwise.logistic_on(features, films.label_array()))
    content = dumps({"schema_version": 1, "data": data, "by": str(blocks or by), **found.to_json()}, indent=1)
    if out:
        write_text(out / "leave_out.json", content + "\n")
    echo(content if json else blockwise.table(found))


def _predicted(films: Dataset, places: list[str | None], path: Path) -> tuple[Dataset, list[str | None], Floats]:
    """The predicted films, their blocks, and their logits."""
    from lucency.errors import SourceError
    from lucency.evaluate.predictions import read_predictions

    predictions = read_predictions(path, films.labels)
    rows = {name: row for row, name in enumerate(predictions.names)}
    known = [index for index, sample in enumerate(films.samples) if sample.name in rows]
    if not known:
        raise SourceError(f"{path}: expected predictions of the films of the data, found none by their names")
    order = [rows[films.samples[index].name] for index in known]
    return films.subset(known), [places[index] for index in known], predictions.logits[order, 0].astype(np.float64)


def _features(films: Dataset, places: list[str | None], weights: str) -> tuple[Dataset, list[str | None], Floats]:
    """The readable films, their blocks, and frozen features of their lungs' box, float64 (n, k)."""
    import torch

    from lucency.data.dataset import decode_each, require_readable
    from lucency.errors import FilmError
    from lucency.models import build
    from lucency.progress import track
    from lucency.recipe import ModelSettings

    network = build(ModelSettings(backbone="mobilenet_v2", weights=weights)).eval()
    good, rows, unreadable = [], [], []
    for index, square in enumerate(track(decode_each(films, _lungs_box), "computing features", len(films))):
        if isinstance(square, FilmError):
            unreadable.append(square)
            continue
        with torch.inference_mode():
            rows.append(network.pooled(torch.from_numpy(square[None, None].astype(np.float32))).numpy()[0])
        good.append(index)
    require_readable(films, len(good), unreadable)
    return films.subset(good), [places[index] for index in good], np.stack(rows).astype(np.float64)


def _lungs_box(film: Film) -> Pixels:
    """The lungs' box of a film with a twentieth around it, or the whole film without lungs, as a square."""
    from lucency.lungs import find_lungs
    from lucency.preprocess import resize

    gray = film.gray8()
    left, top, right, bottom = find_lungs(gray).box or (0, 0, film.width, film.height)
    wide, high = (right - left) // 20, (bottom - top) // 20
    box = gray[max(top - high, 0) : bottom + high, max(left - wide, 0) : right + wide]
    return resize(np.ascontiguousarray(box), IMAGE_SIZE)
