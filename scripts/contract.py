"""Write ports/contract/contract.json, which every port keeps: `python scripts/contract.py [--run RUN]`.

Drawn films with the bytes, outputs, reading and box that the bundle that ships gives them. Nothing is written that a
second implementation does not confirm: the bytes by Pillow, the outputs by LiteRT's reference kernels and, with --run,
by the PyTorch run that the bundle was exported from, the reading by `confirm` below, which knows docs/bundle.md and
nothing of lucency, and the box by scipy.ndimage.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from PIL import Image
from scipy import ndimage

from lucency.bundle import DEFAULT
from lucency.data.phantom import draw
from lucency.export.exporter import FLOAT
from lucency.files import sha256_bytes
from lucency.film import Film
from lucency.paint import BOXED, FAINT_SHARE, LIMIT, strongest_cells
from lucency.reader import Reader
from lucency.reader.outputs import Outputs

OUT = Path(__file__).resolve().parents[1] / "ports" / "contract" / "contract.json"
Array = np.ndarray[Any, Any]


def films() -> dict[str, Array]:
    """Name → film, uint8 (h, w) or (h, w, 3): each verdict, each doubt that needs no file's header, and odd sizes."""
    pneumonia, small = draw(3, ill=True, side=240).film, draw(11, ill=True, side=130).film
    noise = np.random.default_rng(0).integers(0, 256, (60, 140))
    return {
        "pneumonia": pneumonia,
        "normal, smaller than the square": draw(27, ill=False, side=120).film,
        "uncertain": draw(22, ill=False, side=125).film[:, :-1],
        "upside down": small[::-1],
        "mirrored": small[:, ::-1],
        "cut through the lungs": pneumonia[40:-40, 30:-30],
        "blurred": ndimage.gaussian_filter(draw(27, ill=False, side=160).film, 5),
        "noise, too wide": noise.astype(np.uint8),
        "blank": np.full((9, 8), 77, np.uint8),
        "in colour": np.stack([small, small[::-1], small[:, ::-1]], axis=2),
    }


def entry(name: str, pixels: Array, reader: Reader) -> dict[str, Any]:
    """One film of the contract, by lucency."""
    pixels = np.ascontiguousarray(pixels)
    film = Film(pixels, name=name) if pixels.ndim == 2 else Film.of_rgb(pixels, name)
    square, reading = reader.preprocess(film), reader.read(film)
    outputs = reader.read_batch(square[None])
    evidence = reading.maps[reading.index]
    box = strongest_cells(evidence) if evidence.max() >= FAINT_SHARE * LIMIT else None
    return {
        "name": name,
        "width": film.width,
        "height": film.height,
        "pixels": base64.b64encode(film.pixels.tobytes()).decode(),
        **({} if film.colour is None else {"colour": base64.b64encode(film.colour.tobytes()).decode()}),
        "square": base64.b64encode(square.tobytes()).decode(),
        "outputs": {name: [float(f"{v:.7g}") for v in values] for name, values in flat(outputs).items()},
        "verdict": reading.verdict,
        "called": reading.called,
        "doubts": list(reading.doubts),
        "withheld": bool(reading.withheld),
        "box": box,
    }


def flat(outputs: Outputs) -> dict[str, list[float]]:
    """The network's outputs for one film by their names in the file, in the order of its bytes."""
    return {
        "logit": outputs.logits[0].tolist(),
        "probability": outputs.probabilities[0].tolist(),
        "map": np.moveaxis(outputs.maps[0], 0, -1).ravel().tolist(),
        "doubt": outputs.doubts[0].tolist(),
    }


def pillow(pixels: Array, side: int) -> bytes:
    """`stretch` by Pillow alone."""
    height = len(pixels)
    narrow = (
        Image.fromarray(np.ascontiguousarray(pixels)).convert("L").resize((side, height), Image.Resampling.BILINEAR)
    )
    return narrow.resize((side, side), Image.Resampling.BILINEAR).tobytes()


def reference(model: bytes, square: Array) -> dict[str, Any]:
    """The file's outputs by LiteRT's reference kernels, which share no arithmetic with XNNPACK."""
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    outputs = interpreter.get_signature_runner()(film=square[None, :, :, None].astype(np.float32))
    return {name: values.ravel().tolist() for name, values in outputs.items()}


def confirm(card: Mapping[str, Any], pixels: Array, outputs: Mapping[str, list[float]]) -> tuple[str, str, list[str]]:
    """Verdict, label called and doubts of a binary card with Platt scaling, by docs/bundle.md, section 3."""
    height, width = pixels.shape[:2]
    scale = card["calibration"]["parameters"]
    p = 1 / (1 + math.exp(-(scale["slope"][0] * outputs["logit"][0] + scale["offset"][0])))
    called = card["labels"][int(p >= card["operating_point"]["threshold"])]
    kept = [label for label, chance, least in zip(card["labels"], (1 - p, p), card["abstention"]["least"], strict=True)
            if chance >= least]  # fmt: skip
    blank, shape = bool((pixels == pixels[0, 0]).all()), width / height
    # Whole films here are smaller than what is sampled of a large one.
    coloured = pixels.ndim == 3 and float((np.ptp(pixels, axis=2) > 16).mean()) > 0.1
    doubts = ["small"] * (min(height, width) < card["preprocess"]["image_size"])
    doubts += ["shape"] * (shape < 0.5 or shape > 2) + ["blank"] * blank + ["colour"] * coloured
    above = zip(card["gate"]["checks"], outputs["doubt"], strict=True)
    failed = [check["name"] for check, value in above if value > check["limit"]]
    layout, turned, features = (outputs["doubt"][place] for place in (0, 1, 3))
    if "layout" in failed and turned + features < -2 and layout <= 2 * card["gate"]["checks"][0]["limit"]:
        failed[failed.index("layout")] = "unlike"
    undecided = [] if failed or kept == [called] else ["several" if kept else "neither"]
    sure = not failed and not undecided and doubts in ([], ["small"])
    return called if sure else "uncertain", called, doubts + ([] if blank else failed) + undecided


def require(true: bool, what: str) -> None:
    """Raises SystemExit: a second implementation differs."""
    if not true:
        raise SystemExit(f"not written: {what} differs from the second implementation")


def cross_check(one: Mapping[str, Any], pixels: Array, card: Any, model: bytes, run: Reader | None) -> None:
    """Compare one film of the contract with the second implementations, and print the differences."""
    side, name = card["preprocess"]["image_size"], one["name"]
    require(base64.b64decode(one["square"]) == pillow(pixels, side), f"{name}: the square")
    square = np.frombuffer(base64.b64decode(one["square"]), np.uint8).reshape(side, side)
    others = {"reference kernels": reference(model, square)}
    if run is not None:
        others["PyTorch"] = flat(run.read_batch(square[None]))
        del others["PyTorch"]["probability"]  # a run may be calibrated again
        del others["PyTorch"]["doubt"][len(one["outputs"]["doubt"]) :]  # lucency may have learned more checks since
    for who, outputs in others.items():
        away = {key: float(np.abs(np.subtract(one["outputs"][key], values)).max()) for key, values in outputs.items()}
        print(f"{name}: {who}: " + ", ".join(f"{key} {value:.1g}" for key, value in away.items()), flush=True)
        # Cells of a map reach hundreds of logits, where float32 of another order of sums has fewer decimals: PyTorch is
        # up to 1.4e-4 of the largest away.
        allowed = {key: max(getattr(FLOAT, key), 2e-4 * np.abs(one["outputs"][key]).max()) for key in away}
        require(all(value <= allowed[key] for key, value in away.items()), f"{name}: {who}")
    require((one["verdict"], one["called"], one["doubts"]) == confirm(card, pixels, one["outputs"]), f"{name}: reading")
    require(
        one["withheld"] == (not {"layout", "blank", "colour"}.isdisjoint(one["doubts"])),
        f"{name}: withheld",
    )
    cells = np.array(one["outputs"]["map"]).reshape(round(len(one["outputs"]["map"]) ** 0.5), -1)
    require(one["box"] == (hot_box(cells) if cells.max() >= 1 else None), f"{name}: the box")


def hot_box(cells: Array) -> tuple[int, int, int, int]:
    """The box around the strongest cell, united with every piece of hot cells that touches it, until none does."""
    pieces, _ = ndimage.label(cells >= BOXED * cells.max(), np.ones((3, 3)))
    boxes = ndimage.find_objects(pieces)
    box = boxes[pieces.flat[cells.argmax()] - 1]
    while True:
        near = pieces[tuple(slice(max(axis.start - 1, 0), axis.stop + 1) for axis in box)]
        parts = [box, *(boxes[piece - 1] for piece in np.unique(near[near > 0]))]
        grown = tuple(slice(min(p[a].start for p in parts), max(p[a].stop for p in parts)) for a in (0, 1))
        if grown == box:
            rows, columns = box
            return columns.start, rows.start, columns.stop, rows.stop
        box = grown


def main() -> None:
    """Make, cross-check, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="the run that the bundle was exported from")
    run = parser.parse_args().run
    reader, run_reader = Reader.open(), run and Reader.open(run)
    text = (DEFAULT / "card.json").read_bytes()
    card, model = json.loads(text), reader.bundle.read(reader.card.model.file)
    drawn = films()
    entries = [entry(name, pixels, reader) for name, pixels in drawn.items()]
    for one in entries:
        cross_check(one, drawn[one["name"]], card, model, run_reader)
    rows, columns = reader.read(Film(drawn["pneumonia"].copy())).map.shape
    contract = {
        "version": 1,
        "card_sha256": sha256_bytes(text),
        "tolerance": FLOAT.model_dump(),
        "map": {"rows": rows, "columns": columns, "findings": 1},
        "films": entries,
    }
    OUT.write_text(json.dumps(contract, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(entries)} films, {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
