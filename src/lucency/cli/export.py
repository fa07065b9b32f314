"""`lucency import`, `export`, `parity`: networks from elsewhere, one small file for a phone, and its agreement."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency.cli import echo
from lucency.cli.inputs import (
    AllowMissing,
    DataOptions,
    Finding,
    FoldCount,
    HeldOutFold,
    Json,
    Source,
    Split,
    Threads,
    labelled_films,
    print_json,
    read_films,
    report_unreadable,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lucency.data import Dataset
    from lucency.data.splits import Fold
    from lucency.export.parity import Comparison
    from lucency.importing import Imported


def export(
    run: Annotated[Path, typer.Argument(help="A run of lucency train.", show_default=False)],
    out: Annotated[Path, typer.Option(help="New folder of the bundle.", show_default=False)],
    to: Annotated[str, typer.Option(help="litert (phones, browsers, this machine), onnx, or coreml (iOS).")] = "litert",
    quantize: Annotated[str, typer.Option(help="none, float16, int8, or weights (int8 weights only).")] = "none",
    data: Annotated[str | None, typer.Option(help="For int8: the data that the run was trained on.")] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    fold: HeldOutFold = None,
    folds: FoldCount = 5,
    no_film_hashes: Annotated[
        bool, typer.Option("--no-film-hashes", help="Leave out the hashes of the films learned from.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an existing bundle.")] = False,
) -> None:
    """Write one small file with the outputs logit, calibrated probability and map, and the bundle around it.

    int8 measures its ranges on a sample of the run's training films.

    Example: lucency export runs/lecture --quantize int8 --data chest_xray --out bundles/lecture-int8
    """
    from lucency.export import TARGETS
    from lucency.export.exporter import export_run, find_target

    options = DataOptions(source, finding, allow_missing)

    target = find_target(to, quantize)
    squares = _squares(run, data, options, numbered(fold, folds)) if quantize == "int8" else None
    name = next(name for name, row in TARGETS.items() if row is target)
    card = export_run(run, name, out, quantize, squares, replace, not no_film_hashes)  # type: ignore[arg-type]
    size = (out / target.file).stat().st_size / 1e6
    echo(f"{out}: {card.name} for {to}, {quantize}, {target.file} {size:.2f} MB; compare it with lucency parity")


def numbered(fold: int | None, folds: int) -> Fold | None:
    """The fold, None for a run outside a cross-validation."""
    from lucency.data.splits import Fold

    return None if fold is None else Fold(fold, folds)


def _squares(run: Path, data: str | None, options: DataOptions, fold: Fold | None) -> NDArray[np.uint8]:
    """Films to measure ranges on."""
    from lucency.bundle import open_bundle
    from lucency.errors import UsageError
    from lucency.export.exporter import calibration_squares

    if data is None:
        raise UsageError("int8 measures ranges on the run's training films; give them by --data DIR")
    return calibration_squares(open_bundle(run), read_films(data, options, depends=False), fold)


SHOWN = 20
"""Flips printed; all of them are in --json."""


def parity(
    run: Annotated[Path, typer.Argument(help="A run of lucency train.", show_default=False)],
    bundle: Annotated[Path, typer.Argument(help="A bundle exported from it.", show_default=False)],
    data: Annotated[str, typer.Option(help="Labelled films, best held out of training.", show_default=False)],
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    split: Split = None,
    fold: HeldOutFold = None,
    folds: FoldCount = 5,
    max_flips: Annotated[
        int | None, typer.Option(min=0, help="Fail above this number of films called differently.")
    ] = None,
    max_logit: Annotated[float | None, typer.Option(min=0, help="Fail above this difference of logits.")] = None,
    min_map: Annotated[float | None, typer.Option(help="Fail below this correlation of maps.")] = None,
    threads: Threads = 1,
    json: Json = False,
) -> int:
    """Compare a run and its export on every film: logits, maps, and films that the two call differently.

    The result is written into the bundle's card. Fails (exit code 8) only beyond a given limit.

    Example: lucency parity runs/lecture bundles/lecture-int8 --data chest_xray --max-flips 3
    """
    from lucency.bundle import write_card
    from lucency.export.parity import compare
    from lucency.reader import Reader

    options = DataOptions(source, finding, allow_missing)

    films, used = _parity_films(data, options, split, fold, folds)
    found = compare(Reader.open(run, threads), reader := Reader.open(bundle, threads), films, used)
    if bundle.is_dir():
        write_card(bundle, reader.card.model_copy(update={"parity": found.parity}))
    echo(_json(found) if json else table(found))
    code = report_unreadable(found.unreadable, len(films))
    _require(found, max_flips, max_logit, min_map)
    return code


def _parity_films(
    data: str, options: DataOptions, split: str | None, fold: int | None, folds: int
) -> tuple[Dataset, str]:
    """The films, and their description; without a path, since the card travels."""
    part = numbered(fold, folds)
    if part is None:
        films, used = labelled_films(data, options, split)
        return films, f"{films.source}, {used}"
    held = part.split(read_films(data, options))[1]
    return held, f"{held.source}, held-out films of fold {part.number} of {part.of}"


def table(found: Comparison) -> str:
    """The comparison, for a terminal."""
    parity = found.parity
    alike = "undefined, a map is constant" if parity.map_correlation is None else f"{parity.map_correlation:.6f}"
    lines = [
        f"{parity.films:,} films of {parity.data}",
        f"logit difference      mean {parity.logit_mean:.2g}, largest {parity.logit_max:.2g}",
        f"lowest map correlation {alike}",
        f"AUROC                 run {_figure(parity.auroc_source)}, export {_figure(parity.auroc_export)}",
        f"called differently    {parity.flips} films ({parity.flips / parity.films:.2%})",
    ]
    if parity.uncertain_flips:
        lines.append(
            f"uncertain in one only {parity.uncertain_flips} films ({parity.uncertain_flips / parity.films:.2%})"
        )
    for flip in found.flips[:SHOWN]:
        ours, theirs = (" ".join(f"{value:.4f}" for value in row) for row in (flip.source, flip.export))
        lines.append(f"  {flip.film}  {flip.label}  {flip.what}  run {ours}  export {theirs}")
    if len(found.flips) > SHOWN:
        lines.append(f"  … {len(found.flips) - SHOWN} more; all by --json")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.5f}"


def _json(found: Comparison) -> str:
    from dataclasses import asdict
    from json import dumps

    content: dict[str, Any] = found.parity.model_dump()
    content["differences"] = [asdict(flip) for flip in found.flips]
    content["unread"] = [str(error) for error in found.unreadable]
    return dumps(content, ensure_ascii=False)


def _require(found: Comparison, max_flips: int | None, max_logit: float | None, min_map: float | None) -> None:
    """Raise ExportError beyond a given limit."""
    from lucency.errors import ExportError

    parity = found.parity
    if max_flips is not None and parity.flips > max_flips:
        raise ExportError(f"{parity.flips} films are called differently, expected at most {max_flips}")
    if max_logit is not None and parity.logit_max > max_logit:
        raise ExportError(f"a logit differs by {parity.logit_max:.3g}, expected at most {max_logit:g}")
    if min_map is not None and (parity.map_correlation is None or parity.map_correlation < min_map):
        lowest = _figure(parity.map_correlation)
        raise ExportError(f"the lowest map correlation is {lowest}, expected at least {min_map:g}")


PixelRange = Annotated[
    str | None,
    typer.Option(help="What pixels became: 0..1, 0..255, -1..1, imagenet or caffe (Keras's VGG and ResNet)."),
]
TensorFlow = Annotated[
    Path | None, typer.Option(help="A Python that has TensorFlow, for a SavedModel.", envvar="LUCENCY_TENSORFLOW")
]


def import_model(
    model: Annotated[
        Path, typer.Argument(help="A Keras .h5 or .keras file, a SavedModel folder, or a .onnx or .tflite classifier.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; new.", show_default=False)],
    classes: Annotated[
        str, typer.Option(help="Names of the outputs, in their order; of one sigmoid unit those for 0 and 1.")
    ] = "NORMAL,PNEUMONIA",
    range: PixelRange = None,
    resize: Annotated[str | None, typer.Option(help="stretch, crop or pad. [default: stretch, or by --data]")] = None,
    image_size: Annotated[int | None, typer.Option(min=1, max=4096, help="Where the file leaves it open.")] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of the last layer of .onnx and .tflite: sigmoid, softmax or logits.")
    ] = None,
    tensorflow: TensorFlow = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled films: every range and resize left open is tried on 200 of them.")
    ] = None,
    source: Source = "auto",
    finding: Finding = None,
    allow_missing: AllowMissing = False,
    json: Json = False,
) -> None:
    """Import a network that another program trained: a Keras file as a run, a .onnx or .tflite classifier as a bundle.

    No code in a Keras file is run: layers come from a list (docs/bring-your-keras-model.md), others are refused by
    name. A .onnx or .tflite file is run as it is, by its runtime: to read, evaluate, recalibrate, serve, and explain by
    occlusion. A SavedModel alone needs TensorFlow, which may run what is in it: import those of people you trust.

    Example: lucency import xray_model.h5 --range 0..1 --out runs/mine
    """
    from lucency.errors import UsageError
    from lucency.importing import import_model as run
    from lucency.preprocess import RESIZE_MODES

    mode = next((one for one in RESIZE_MODES if one == resize), None)
    if resize is not None and mode is None:
        raise UsageError(f"--resize: expected one of {', '.join(RESIZE_MODES)}, received '{resize}'")
    films = None if data is None else read_films(data, DataOptions(source, finding, allow_missing))
    names = [name.strip() for name in classes.split(",")]
    imported = run(
        model,
        out,
        names,
        pixel_range=range,
        resize_mode=mode,
        image_size=image_size,
        films=films,
        finding=finding,
        activation=activation,
        tensorflow=tensorflow,
    )
    if json:
        print_json(_facts(imported))
    else:
        _show(imported)


def _facts(imported: Imported) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "run": str(imported.path),
        "card": imported.card.model_dump(mode="json"),
        "says": list(imported.says),
        "tried": [asdict(one) for one in imported.tried],
    }


def _show(imported: Imported) -> None:
    if imported.tried:
        echo(f"{'range':10}{'resize':10}{'log-likelihood':>15}{'accuracy':>10}")
        for one in imported.tried:
            echo(f"{one.pixel_range:10}{one.resize_mode:10}{one.log_likelihood:15.3f}{one.accuracy:10.3f}")
        echo()
    for line in imported.says:
        echo(line)
    card = imported.card
    echo(f"{imported.path}: {card.name}, {card.model.parameters:,} parameters, {' or '.join(card.labels)}")
    echo(f"Next: lucency evaluate {imported.path} --data LABELLED")
