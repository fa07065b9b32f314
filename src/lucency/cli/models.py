"""`lucency models` and `bench`: parameters and multiply-adds of the networks, and how fast a bundle is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lucency.cli import echo
from lucency.cli.inputs import Json


class Top(StrEnum):
    """The layer on the pooled features while counting."""

    imagenet = "imagenet"
    none = "none"
    linear = "linear"
    dense128 = "dense128"


def models(
    name: Annotated[str | None, typer.Argument(help="One network in detail; timm:NAME if timm is installed.")] = None,
    width: Annotated[float, typer.Option(min=0.05, max=8.0, help="Width multiplier.")] = 1.0,
    side: Annotated[
        int | None, typer.Option(min=32, max=2048, help="Pixels along the film. [default: the network's own]")
    ] = None,
    top: Annotated[
        Top, typer.Option(help="Layer on the pooled features: 1000 classes, none, or one of our heads.")
    ] = Top.imagenet,
    layers: Annotated[bool, typer.Option("--layers", help="Every layer of NAME.")] = False,
    factoring: Annotated[
        bool, typer.Option("--factoring", help="Savings of depthwise + pointwise, layer by layer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the networks: layers, parameters and multiply-adds by layer type, and published accuracy.

    Example: lucency models mobilenet_v1 --factoring
    """
    from lucency.models import flops

    if name is None and (factoring or layers or side is not None or width != 1.0):
        name = "mobilenet_v1"
    if name is None:
        found: Any = flops.overview(top.value)
    elif factoring:
        found = flops.factoring(name, width, side)
    else:
        found = flops.detail(name, width, side, top.value)
    if as_json:
        import json

        echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found, layers)


WIDE = 160
"""Columns of output that is not a terminal."""


def _show(found: Any, layers: bool) -> None:
    """Print the tables of an overview, a factoring or a detail."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width
        console = Console(width=WIDE)
    if isinstance(found, list):
        tables = [_overview(found)]
    elif "each_pair" in found:
        tables = [_pairs(found), _peers(found)]
    else:
        tables = [_types(found), *([_layers(found)] if layers else []), _published(found), _errata(found)]
    for table in tables:
        if table.row_count:
            console.print(table, "")


def _table(title: str, *columns: str, left: int = 1, caption: str = "") -> Any:
    """A table whose first `left` columns are text and the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption=caption,
        caption_justify="left",
    )
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="left" if index < left else "right", no_wrap=index == 0 or index >= left, overflow="fold"
        )
    return table


def _overview(rows: list[dict[str, Any]]) -> Any:
    columns = (
        "network",
        "side",
        "layers",
        "parameters",
        "M madds",
        "conv",
        "dw",
        "pw",
        "top-1",
    )
    caption = (
        "conv, dw (depthwise), pw (pointwise): percent of the multiply-adds; the rest is dense. "
        "lucency models NAME for details; timm:NAME if timm is installed."
    )
    table = _table("Networks with their 1000-class top" * (rows[0]["top"] == "imagenet"), *columns, caption=caption)
    for row in rows:
        shares = [f"{100 * part['madds_share']:.2f}" for kind, part in row["by_type"].items() if kind != "dense"]
        numbers = (f"{row['side']}", f"{row['layers']}", f"{row['parameters']:,}", _millions(row["madds"]), *shares)
        table.add_row(row["name"], *numbers, _percent(row["top1"]))
    return table


def _types(row: dict[str, Any]) -> Any:
    title = f"{row['name']}, width {row['width']:g}, side {row['side']}, top: {row['top']}; {row['paper']}"
    columns = ("type", "layers", "weights", "%", "madds", "%")
    caption = f"{row['parameters']:,} parameters, {row['trainable']:,} trainable. {row['conventions']}"
    table = _table(title, *columns, caption=caption)
    for kind, part in row["by_type"].items():
        shares = f"{100 * part['weights_share']:.2f}", f"{100 * part['madds_share']:.2f}"
        table.add_row(kind, f"{part['layers']}", f"{part['weights']:,}", shares[0], f"{part['madds']:,}", shares[1])
    table.add_section()
    table.add_row("all", f"{row['layers']}", f"{row['weights']:,}", "100", f"{row['madds']:,}", "100")
    return table


def _layers(row: dict[str, Any]) -> Any:
    table = _table("Layers", "layer", "type", "kernel", "stride", "in", "out", "output", "weights", "madds", left=2)
    for layer in row["each_layer"]:
        kernel = f"{layer['kernel']}×{layer['kernel']}"
        shape = f"{layer['height']}×{layer['width']}"
        numbers = (layer["stride"], layer["inputs"], layer["outputs"], shape)
        table.add_row(
            layer["name"], layer["kind"], kernel, *map(str, numbers), f"{layer['weights']:,}", f"{layer['madds']:,}"
        )
    return table


def _published(row: dict[str, Any]) -> Any:
    columns = ("width", "side", "M madds, printed", "exact", "parameters, exact", "top-1", "top-5", "")
    table = _table("Published, and exact", *columns, left=0, caption=_sources(row["published"]))
    for line in row["published"]:
        printed, exact = f"{line['madds_m']:g}", _millions(line["exact_madds"])
        accuracy = _percent(line["top1"]), _percent(line["top5"])
        mark = "printed figure is off" if line["erratum"] else ""
        table.add_row(
            f"{line['width']:g}", f"{line['side']}", printed, exact, f"{line['exact_parameters']:,}", *accuracy, mark
        )
    return table


def _errata(row: dict[str, Any]) -> Any:
    table = _table("Known errata", "where", "printed", "exact", "why", left=4)
    for erratum in row["errata"]:
        table.add_row(erratum["where"], erratum["printed"], erratum["exact"], erratum["reason"])
    return table


def _pairs(found: dict[str, Any]) -> Any:
    whole = found["whole"]
    place = f"{found['name']}, width {found['width']:g}, side {found['side']}"
    title = f"{place}: depthwise + pointwise against full convolutions"
    table = _table(title, "block", "kernel", "in", "out", "madds", "full", "saving", caption=found["conventions"])
    for pair in found["each_pair"]:
        numbers = (pair["inputs"], pair["outputs"], f"{pair['madds']:,}", f"{pair['full_madds']:,}")
        table.add_row(pair["name"], f"{pair['kernel']}×{pair['kernel']}", *map(str, numbers), f"{pair['saving']:.2f}×")
    table.add_section()
    saving = whole["full_madds"] / whole["madds"]
    table.add_row("whole network", "", "", "", f"{whole['madds']:,}", f"{whole['full_madds']:,}", f"{saving:.2f}×")
    fewer = whole["full_weights"] / whole["weights"]
    table.add_row("its weights", "", "", "", f"{whole['weights']:,}", f"{whole['full_weights']:,}", f"{fewer:.2f}×")
    return table


def _peers(found: dict[str, Any]) -> Any:
    columns = ("network", "often printed, wrongly", "side", "parameters", "×", "M madds", "×", "top-1", "top-5")
    table = _table(
        f"Comparison with other networks (× {found['name']})", *columns, left=2, caption=_sources(found["peers"])
    )
    for peer in found["peers"]:
        table.add_row(
            peer["name"],
            peer["often_printed"],
            f"{peer['side']}",
            f"{peer['parameters']:,}",
            f"{peer['parameters_ratio']:.1f}",
            f"{peer['madds_m']:,.0f}",
            f"{peer['madds_ratio']:.1f}",
            _percent(peer["top1"]),
            _percent(peer["top5"]),
        )
    return table


def _sources(lines: list[dict[str, Any]]) -> str:
    return "From: " + "; ".join(dict.fromkeys(line["source"] for line in lines))


def _millions(number: int) -> str:
    return f"{number / 1e6:,.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def bench(
    bundle: Annotated[Path, typer.Argument(help="The bundle or run to measure.", metavar="BUNDLE")],
    against: Annotated[
        list[Path] | None, typer.Option(help="Another bundle, measured in alternation; may be repeated.")
    ] = None,
    threads: Annotated[str | None, typer.Option(help="Such as 1,2. [default: 1 to the number of cores]")] = None,
    films: Annotated[int, typer.Option(min=1, help="Number of films.")] = 40,
    data: Annotated[str | None, typer.Option(help="Films to read. [default: drawn JPEGs of 1024 × 1024]")] = None,
    cold: Annotated[bool, typer.Option(help="Also measure lucency read as a separate process.")] = True,
    json: Json = False,
) -> None:
    """Measure latency by stage (decode, resize, infer, map), films per second, memory and the cold start.

    With several threads, stage times are for one film on all threads, and films per second for one film per thread. A
    run uses PyTorch's own number of threads.

    Example: lucency bench bundle-int8 --against bundle-float --threads 1,2
    """
    from json import dumps

    from lucency.bench import cold_start, measure, phantom_files, some_files, table, to_json
    from lucency.bundle import read_card
    from lucency.files import scratch

    counts = _counts(threads)
    bundles = [bundle, *(against or [])]
    for each in bundles:
        read_card(each)  # fails before films are drawn
    with scratch() as folder:
        if data is None:
            files, what = phantom_files(folder, films), "drawn 1024 × 1024 JPEG films"
        else:
            from lucency.data import read_dataset

            files, what = some_files(read_dataset(data), films), f"films of {data}"
        benches = measure(bundles, files, counts)
        colds = [cold_start(each, files[0]) if cold else None for each in bundles]
    measured = list(zip(benches, colds, strict=True))
    title = f"{len(files)} {what}"
    echo(dumps(to_json(measured, title), indent=2, ensure_ascii=False) if json else table(measured, title))


def _counts(threads: str | None) -> list[int]:
    """Numbers of threads from "1,2"; 1 to the number of cores without one."""
    from os import cpu_count

    from lucency.errors import UsageError

    if threads is None:
        return list(range(1, (cpu_count() or 1) + 1))
    words = threads.replace(",", " ").split()
    if not words or not all(word.isdigit() and int(word) for word in words):
        raise UsageError(f"--threads: expected numbers such as 1,2, received {threads!r}")
    return [int(word) for word in words]
