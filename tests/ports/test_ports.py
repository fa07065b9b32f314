"""Every port yields the bytes that Pillow yields, and the colours, windows and verdicts that lucency yields."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.bundle import DEFAULT, Abstention, Card, Check, Gate, Model, OperatingPoint, Square, open_bundle
from lucency.bundle.card import Task
from lucency.bundle.store import GOLDEN as GOLDEN_ANSWERS
from lucency.bundle.store import parse_golden
from lucency.film import Film
from lucency.modality import MODALITIES
from lucency.paint import LIMIT, TOP, ZERO, colourmap, opacities, window
from lucency.preprocess import RESIZE_MODES, Preprocess
from lucency.reader import Outputs
from lucency.reader.input_checks import SIGHTS, check_input
from lucency.reader.outputs import failed_names
from lucency.reader.reading import reading
from reader.slices import head, lungs

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE.parent / "golden/preprocessing.json").read_text(encoding="utf-8"))
Ask = Callable[[list[str]], list[str]]


@pytest.mark.long
def test_golden_vectors(ask: Ask) -> None:
    lines, expected = [], []
    for film in GOLDEN["films"]:
        for square in film["squares"]:
            size = f"{film['bits']} {film['width']} {film['height']}"
            lines.append(f"prepare {size} {square['side']} {square['fit']} {film['pixels']}")
            expected.append(square["bytes"])
    assert len(lines) == 15 * 3 * 3
    assert ask(lines) == expected


def test_golden_vectors_in_colour(ask: Ask) -> None:
    lines, expected = [], []
    for film in GOLDEN["colour"]:
        for square in film["squares"]:
            size = f"24 {film['width']} {film['height']}"
            lines.append(f"prepare {size} {square['side']} {square['fit']} {film['pixels']}")
            expected.append(square["bytes"])
    assert len(lines) >= 9
    assert ask(lines) == expected


def test_what_is_no_picture_of_its_kind_is_seen_as_python_sees_it(ask: Ask) -> None:
    """Skin, retinas, noise and gray, given to readers of each kind."""
    rng, lines, expected = np.random.default_rng(9), [], []
    for number in range(60):
        width, height = (int(size) for size in rng.integers(20, 90, 2))
        y, x = np.mgrid[:height, :width]
        inside = (((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2 < rng.uniform(0.02, 0.26))[
            ..., None
        ]
        level = [inside, 1 - 0.5 * inside * (number % 3)][number % 2] * rng.integers(0, 256, 3)
        picture = (level * rng.uniform(0.6, 1, (height, width, 1)) ** 0.3).astype(np.uint8)
        picture = picture[:, :, [1, 1, 1]] if number % 7 == 0 else picture
        for modality in ("skin", "fundus", "photograph", "mri_slice"):
            lines.append(_sight_line(modality, picture))
            expected.append(_seen(modality, picture))
    assert {"none", "colour", "round_field", "lesion", "head_slice"} <= set(expected)
    assert ask(lines) == expected


def test_what_is_no_slice_is_seen_as_python_sees_it(ask: Ask) -> None:
    """Drawn heads and chests by CT, and bad ones, given to readers of both."""
    rng, lines, expected = np.random.default_rng(11), [], []
    for number in range(40):
        width, height = (int(size) for size in rng.integers(40, 120, 2))
        drawn = (head, lungs)[number % 2](rng, width, height)
        picture = np.repeat(drawn[..., None], 3, axis=2)
        for modality in ("ct_slice", "mri_slice", "slice"):
            lines.append(_sight_line(modality, picture))
            expected.append(_seen(modality, picture))
    assert set(expected) == {"none", "head_slice", "lung_slice"}
    assert expected[1::6].count("none") > 10  # heads
    assert expected[3::6].count("none") > 10  # chests
    assert ask(lines) == expected


def _sight_line(modality: str, picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    return f"sight {modality} {width} {height} {picture.tobytes().hex()}"


def _seen(modality: str, picture: np.ndarray) -> str:
    codes = (doubt.code for doubt in check_input(Film.of_rgb(picture), _card(modality)))
    return ",".join(code for code in codes if code in ("colour", *SIGHTS)) or "none"


def _card(modality: str) -> Card:
    channels = MODALITIES[modality].channels
    square = Square(version=2 if channels == 3 else 1, channels=channels)
    model = Model(format="litert", file="m", backbone="none")
    return Card(name="x", labels=("a", "b"), modality=modality, preprocess=square, model=model)


def test_golden_films_of_the_bundle_that_ships(ask: Ask) -> None:
    if not DEFAULT.is_dir():
        pytest.skip("needs the bundle that ships")
    bundle = open_bundle(DEFAULT)
    lines, expected = [], []
    for film in parse_golden(bundle.read(GOLDEN_ANSWERS), "default").films:
        given, square = (np.asarray(Image.open(io.BytesIO(bundle.read(name)))) for name in (film.film, film.square))
        height, width = given.shape
        how = bundle.card.preprocess
        lines.append(f"prepare 8 {width} {height} {how.image_size} {how.resize_mode} {given.tobytes().hex()}")
        expected.append(square.tobytes().hex())
    assert len(lines) >= 2
    assert ask(lines) == expected


def _pillow(gray: np.ndarray, side: int, fit: str) -> bytes:
    """By Pillow alone, as tests/golden/make_preprocessing.py does it."""
    image = Image.fromarray(gray)
    short, long = min(image.size), max(image.size)
    if fit == "crop":
        left, top = (image.width - short) // 2, (image.height - short) // 2
        image = image.crop((left, top, left + short, top + short))
    if fit == "pad":
        black = Image.new("L", (long, long), 0)
        black.paste(image, ((long - image.width) // 2, (long - image.height) // 2))
        image = black
    narrow = image.resize((side, image.height), Image.Resampling.BILINEAR)
    return narrow.resize((side, side), Image.Resampling.BILINEAR).tobytes()


def test_random_films_of_random_sizes(ask: Ask) -> None:
    rng = np.random.default_rng(3)
    lines, expected = [], []
    for number in range(150):
        width, height = (int(size) for size in rng.integers(1, 160, 2))
        side, fit = int(rng.integers(1, 100)), RESIZE_MODES[number % 3]
        # Half the films hold only the two ends, where a rounding error would show first.
        gray = rng.integers(0, 256, (height, width)) if number % 2 else rng.choice([0, 255], (height, width))
        gray = gray.astype(np.uint8)
        lines.append(f"prepare 8 {width} {height} {side} {fit} {gray.tobytes().hex()}")
        expected.append(_pillow(gray, side, fit).hex())
    assert ask(lines) == expected


@pytest.mark.long
@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (1857, 1317), (127, 384)])
def test_the_size_of_films(ask: Ask, width: int, height: int) -> None:
    gray = np.random.default_rng(width).integers(0, 256, (height, width)).astype(np.uint8)
    lines = [f"prepare 8 {width} {height} 224 {fit} {gray.tobytes().hex()}" for fit in RESIZE_MODES]
    assert ask(lines) == [_pillow(gray, 224, fit).hex() for fit in RESIZE_MODES]


def test_colour_to_gray_is_pillows(ask: Ask) -> None:
    rgba = np.random.default_rng(5).integers(0, 256, (64, 64, 4)).astype(np.uint8)
    rgba[..., 3] = 255
    rgba[0, :, :3] = np.arange(64, dtype=np.uint8)[:, None] * 4  # gray stays what it is
    assert ask([f"gray {rgba.tobytes().hex()}"]) == [Image.fromarray(rgba[..., :3]).convert("L").tobytes().hex()]


def test_colours_are_those_of_the_painted_map(ask: Ask) -> None:
    levels = range(1, TOP + 1)
    lines = [f"colour {(level - ZERO) / (TOP - ZERO) * LIMIT!r}" for level in levels]
    painted = [f"{' '.join(map(str, colourmap()[level]))} {opacities()[level]}" for level in levels]
    assert ask([*lines, "colour 99", "colour -99"]) == [*painted, painted[-1], painted[0]]


def test_windows_are_those_of_the_painted_map(ask: Ask) -> None:
    sizes = [(5, 2), (2, 5), (4, 4), (7, 4), (1024, 767)]
    expected = []
    for width, height in sizes:
        for fit in RESIZE_MODES:
            left, top, right, bottom = window(Preprocess(8, fit), height, width)
            expected.append(f"{left} {top} {right - left} {bottom - top}")
    assert ask([f"window {width} {height} {fit}" for width, height in sizes for fit in RESIZE_MODES]) == expected


def test_verdicts_by_hand(ask: Ask) -> None:
    told = {
        "verdict binary 0.5 normal,pneumonia - - 0.5 -": "pneumonia",
        "verdict binary 0.5 normal,pneumonia - - 0.49 -": "normal",
        "verdict binary 0.7 normal,pneumonia - - 0.7 -": "pneumonia",  # 0.7 is less in float32 than in double
        "verdict binary 0.5 normal,pneumonia 0.3,0.4 - 0.65 -": "uncertain",  # 0.35 of normal is not ruled out
        "verdict binary 0.5 normal,pneumonia 0.3,0.4 - 0.75 -": "pneumonia",
        "verdict binary 0.5 normal,pneumonia 0.9,0.9 - 0.75 -": "uncertain",  # neither
        "verdict binary 0.5 normal,pneumonia - 2.0,3.0 0.75 2.0,3.0": "pneumonia",
        "verdict binary 0.5 normal,pneumonia - 2.0,3.0 0.75 1.0,3.1": "uncertain",
        "verdict multiclass 0.5 a,b,c - - 0.2,0.45,0.35 -": "b",
        "verdict multiclass 0.5 a,b,c 0.4,0.4,0.4 - 0.2,0.45,0.35 -": "b",
        "verdict multiclass 0.5 a,b,c 0.4,0.4,0.3 - 0.2,0.45,0.35 -": "uncertain",
        "verdict multilabel 0.5 a,b,c - - 0.6,0.2,0.5 -": "a|c",
        "verdict multilabel 0.5 a,b,c - - 0.1,0.2,0.3 -": "none",
        "verdict multilabel 0.7,0.1,0.3 a,b,c - - 0.6,0.2,0.3 -": "b|c",  # 0.3 is the same in float32
    }
    assert ask(list(told)) == list(told.values())


def test_failed_checks_are_the_readers(ask: Ask) -> None:
    """About where `layout` becomes `unlike`, whatever the order of the checks, and without those that it depends on."""
    rng, lines, expected = np.random.default_rng(3), [], []
    for number in range(200):
        names = rng.permutation(["layout", "upside_down", "features", "mirrored"])[: 4 if number % 4 else 2]
        checks = tuple(Check(name=name, limit=float(rng.uniform(1, 3)), alarms=0.01) for name in names)
        doubts = (rng.uniform(0, 6, len(names)) - 8 * (names == "upside_down")).astype(np.float32)
        expected.append(",".join(failed_names(_gated_card(Gate(checks=checks)), doubts)) or "none")
        limits = ",".join(repr(check.limit) for check in checks)
        lines.append(f"gate {','.join(names)} {limits} {','.join(map(repr, doubts.tolist()))}")
    assert {name for one in expected for name in one.split(",")} >= {"layout", "unlike", "none"}
    assert ask(lines) == expected


def _gated_card(gate: Gate) -> Card:
    model, point = Model(format="litert", file="m", backbone="none"), OperatingPoint(threshold=0.5)
    return Card(name="x", labels=("a", "b"), model=model, operating_point=point, gate=gate)


def test_verdicts_are_the_readers(ask: Ask) -> None:
    rng = np.random.default_rng(7)
    lines, expected = [], []
    for number in range(200):
        card, chances, doubts = _case(rng, ("binary", "multiclass", "multilabel")[number % 3])
        answers = Outputs(chances[None], chances[None], np.zeros((1, len(chances), 1, 1), np.float32), doubts[None])
        expected.append(reading(card, "", answers, 0, ()).verdict or "none")
        lists = (card.abstention.least, [check.limit for check in card.gate.checks], chances.tolist(), doubts.tolist())
        words = " ".join(",".join(map(repr, values)) or "-" for values in lists)
        thresholds = ",".join(map(repr, card.thresholds))
        lines.append(f"verdict {card.task} {thresholds} {','.join(card.labels)} {words}")
    assert {"uncertain", "a", "b", "none"} <= set(expected)
    assert ask(lines) == expected


def _case(rng: np.random.Generator, task: Task) -> tuple[Card, np.ndarray, np.ndarray]:
    """A random card with answers to judge by it."""
    labels = ("a", "b") if task == "binary" else ("a", "b", "c")
    chances = rng.uniform(size=1 if task == "binary" else 3).astype(np.float32)
    if task == "multiclass":
        chances /= chances.sum()
    abstains = task != "multilabel" and rng.random() < 0.5
    least = tuple(float(value) for value in rng.uniform(0, 0.5, len(labels)))
    checks = [Check(name=name, limit=float(rng.uniform(1, 3)), alarms=0.01) for name in ("layout", "features")]
    gated = rng.random() < 0.5
    thresholds = tuple(rng.uniform(0.2, 0.8, 3).tolist())
    card = Card(
        name="x",
        task=task,
        labels=labels,
        model=Model(format="litert", file="m", backbone="none"),
        operating_point=OperatingPoint(threshold=thresholds if task == "multilabel" else thresholds[0]),
        abstention=Abstention(method="conformal", least=least) if abstains else Abstention(),
        gate=Gate(checks=tuple(checks)) if gated else Gate(),
    )
    return card, chances, rng.uniform(0, 3, 2 if gated else 0).astype(np.float32)


def test_films_that_cannot_be_a_chest(ask: Ask) -> None:
    shapes = {(4, 4): True, (2, 4): True, (4, 2): True, (1, 3): False, (5, 2): False}
    lines = [f"usual {width} {height} {bytes(range(width * height)).hex()}" for width, height in shapes]
    told = [str(answer).lower() for answer in shapes.values()]
    assert ask([*lines, "usual 2 2 07070707"]) == [*told, "false"]


def test_another_version_or_filter_is_refused(ask: Ask) -> None:
    lines = ["version 1 bilinear-antialiased", "version 2 bilinear-antialiased", "version 1 bilinear"]
    assert ask(lines) == ["taken", "refused", "refused"]
