"""Python, JavaScript, Kotlin and Swift keep ports/contract/contract.json; scripts/contract.py writes it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency.bundle import DEFAULT
from lucency.files import sha256_bytes
from lucency.film import Film
from lucency.paint import FAINT_SHARE, LIMIT, strongest_cells
from lucency.reader import Reader

CONTRACT = Path(__file__).parents[2] / "ports" / "contract" / "contract.json"
STATED = json.loads(CONTRACT.read_text(encoding="utf-8"))
Ask = Callable[[list[str]], list[str]]
pytestmark = pytest.mark.skipif(not DEFAULT.is_dir(), reason="needs the bundle that ships")


def test_it_is_of_the_bundle_that_ships() -> None:
    assert STATED["card_sha256"] == sha256_bytes((DEFAULT / "card.json").read_bytes()), "run scripts/contract.py"


def test_it_holds_every_verdict_and_every_kind_of_doubt() -> None:
    said = [(film["verdict"], tuple(film["doubts"])) for film in STATED["films"]]
    assert {verdict for verdict, _ in said} == {"normal", "pneumonia", "uncertain"}
    codes = {code for _, doubts in said for code in doubts}
    assert codes >= {"small", "shape", "blank", "several", "layout", "upside_down", "mirrored", "features", "colour"}
    assert ("pneumonia", ()) in said
    assert {film["withheld"] for film in STATED["films"]} == {True, False}


@pytest.mark.parametrize("one", STATED["films"], ids=lambda one: one["name"])
def test_python_keeps_it(one: dict[str, Any], reader: Reader) -> None:
    pixels = np.frombuffer(base64.b64decode(one["pixels"]), np.uint8).reshape(one["height"], one["width"])
    film = Film(pixels)
    if "colour" in one:
        film = Film.of_rgb(np.frombuffer(base64.b64decode(one["colour"]), np.uint8).reshape(*pixels.shape, 3))
        assert np.array_equal(film.pixels, pixels)
    square, found = reader.preprocess(film), reader.read(film)
    assert base64.b64encode(square.tobytes()).decode() == one["square"]
    assert (found.verdict, found.called, list(found.doubts)) == (one["verdict"], one["called"], one["doubts"])
    assert bool(found.withheld) == one["withheld"]
    outputs, allowed = reader.read_batch(square[None]), STATED["tolerance"]
    shape = STATED["map"]
    assert outputs.maps.shape[1:] == (shape["findings"], shape["rows"], shape["columns"])
    told = {"logit": outputs.logits, "probability": outputs.probabilities, "doubt": outputs.doubts}
    told["map"] = np.moveaxis(outputs.maps, 1, -1)
    for name, values in told.items():
        np.testing.assert_allclose(values.ravel(), one["outputs"][name], atol=allowed[name], rtol=0)
    evidence = found.maps[found.index]  # `map` is zero where the reading is withheld
    box = list(strongest_cells(evidence)) if evidence.max() >= FAINT_SHARE * LIMIT else None
    assert box == one["box"]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.open()


def test_a_port_keeps_it(ask: Ask) -> None:
    """From the film to the bytes, and from the network's outputs to the reading."""
    assert ask([f"contract {CONTRACT} {DEFAULT}"]) == [f"{len(STATED['films'])} kept"]


def test_a_port_sees_what_differs(ask: Ask, tmp_path: Path) -> None:
    """Each part of a film is compared: change one and it is named."""
    pneumonia = STATED["films"][0]
    square = bytearray(base64.b64decode(pneumonia["square"]))
    square[777] ^= 1
    changes: dict[str, Any] = {
        "square": base64.b64encode(square).decode(),
        "verdict": "uncertain",
        "doubts": ["small"],
        "box": [0, 0, 1, 1],
    }
    lines = []
    for part, value in changes.items():
        changed = tmp_path / f"{part}.json"
        changed.write_text(json.dumps({**STATED, "films": [{**pneumonia, part: value}]}), encoding="utf-8")
        lines.append(f"contract {changed} {DEFAULT}")
    told = ask(lines)
    assert len(told) == len(changes)
    for part, line in zip(changes, told, strict=True):
        assert line.startswith(f"pneumonia: {part}"), line
