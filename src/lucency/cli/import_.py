"""`lucency import`: a network that another program trained, as a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lucency.cli.inputs import AllowMissing, DataOptions, Finding, Json, Source, print_json, read_films
from lucency.cli.terminal import echo

if TYPE_CHECKING:
    from lucency.importing import Imported


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
