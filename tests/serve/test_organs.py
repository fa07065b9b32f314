"""A server of a reader of several classes in colour."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.reader import Reader
from lucency.serve.routes import BatchAnswer, FilmAnswer
from reader.colours import lesion, write_colour_bundle

from .running import Server, running

LABELS = tuple(f"kind {number}" for number in range(40))


@pytest.fixture(scope="module")
def skin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_bundle(tmp_path_factory.mktemp("organs") / "b", "skin", LABELS)


@pytest.fixture(scope="module")
def organs(skin: Path) -> Iterator[Server]:
    with running(skin, "--workers", "1", "--batch", "4") as started:
        yield started


def stored(pixels: np.ndarray, mode: str = "RGB", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind)
    return stream.getvalue()


def test_it_answers_as_the_reader_does(organs: Server, skin: Path) -> None:
    with organs.client() as client:
        printed = client.post("/v1/read", content=stored(lesion(2, 60))).json()
    answer, reading = FilmAnswer.model_validate(printed), Reader.open(skin).read(lesion(2, 60))
    assert answer.verdict == reading.verdict
    assert answer.probabilities == pytest.approx(reading.probabilities.tolist())
    assert [one.label for one in answer.leading or ()] == list(reading.leading.values())
    assert answer.model.labels == list(LABELS)


def test_a_map_of_each_label(organs: Server, skin: Path) -> None:
    film = stored(lesion(2, 60))
    leading = list(Reader.open(skin).read(lesion(2, 60)).leading.values())
    with organs.client() as client:
        asked = [
            client.post("/v1/read", params={"map": "png", "label": label}, content=film).json() for label in leading
        ]
        plain = client.post("/v1/read?map=png", content=film).json()
        unknown = client.post("/v1/read", params={"map": "png", "label": "heart"}, content=film)
    maps = [one["map"] for one in asked]
    assert maps[0] == plain["map"]
    assert len(set(maps)) == 3
    with Image.open(io.BytesIO(base64.b64decode(maps[1]))) as drawn:
        assert (drawn.mode, drawn.size) == ("RGB", (60, 60))
    assert unknown.status_code == 422
    assert "heart" not in unknown.text


def test_pictures_that_are_no_skin(organs: Server) -> None:
    films = [stored(lesion()), stored(lesion(), "L"), stored(lesion(), "CMYK", "JPEG"), b"no film"]
    with organs.client() as client:
        answer = BatchAnswer.model_validate(
            client.post("/v1/batch", files=[("film", ("x", film)) for film in films]).json()
        )
    read, gray, cmyk, text = json.loads(answer.model_dump_json())["readings"]
    assert read["probability"] > 0
    assert (gray["verdict"], gray["probability"], gray["leading"]) == ("uncertain", None, [])
    assert "has no colour" in gray["reason"]
    assert "found a CMYK image" in cmyk["error"]
    assert "found a text file" in text["error"]
    assert answer.unread == 2
