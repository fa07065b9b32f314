"""ports/android: what can be held without a phone. conftest.py compiles all of it and runs the port on the JVM."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageOps

from lucency.bundle import DEFAULT
from lucency.bundle.store import GOLDEN
from lucency.paint import contour
from lucency.reader import Reader
from lucency.reader.input_checks import GATE_WORDS, SIGHTS
from ports.conftest import ANDROID, HERE, NAMESPACE, kotlin, kotlin_compiler, resources

Ask = Callable[[list[str]], list[str]]
on_the_jvm = pytest.mark.parametrize("ask", [kotlin], indirect=True, ids=["kotlin"])
MANIFEST = ElementTree.parse(ANDROID / "src/main/AndroidManifest.xml").getroot()
GRADLE_FILES = ("settings.gradle.kts", "build.gradle.kts", "app/build.gradle.kts")
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in ANDROID.glob("src/main/kotlin/**/*.kt")}


@on_the_jvm
def test_the_check_at_first_start_is_met_by_the_network_and_says_why_it_is_not_the_gpu(ask: Ask) -> None:
    assert ask([f"golden {DEFAULT / GOLDEN}"]) == ["CPU: Failed to create compiled model; kept"]


@on_the_jvm
def test_the_check_at_first_start_sees_another_number_and_another_byte(ask: Ask, tmp_path: Path) -> None:
    text = (DEFAULT / GOLDEN).read_text(encoding="utf-8")
    changes = {"logit": (r'("logits": \[\s*)[-\d.]+', r"\g<1>99"), "square": ("normal.square", "normal-2.square")}
    lines = []
    for part, (before, after) in changes.items():
        (tmp_path / part).write_text(re.sub(before, after, text, count=1), encoding="utf-8")
        lines.append(f"golden {tmp_path / part}")
    for part, line in zip(changes, ask(lines), strict=True):
        assert f"golden/normal.png: {part}" in line


@on_the_jvm
def test_exif_orientations_are_pillows(ask: Ask) -> None:
    film = np.arange(6, dtype=np.uint8).reshape(2, 3)
    lines, expected = [], []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        stream = BytesIO()
        Image.fromarray(film).save(stream, "PNG", exif=exif)
        turned = np.asarray(ImageOps.exif_transpose(Image.open(stream)))
        lines.append(f"upright {orientation} 3 2 {film.tobytes().hex()}")
        expected.append(f"{turned.tobytes().hex()} {turned.shape[1]}")
    assert ask(lines) == expected


@on_the_jvm
def test_contours_are_those_of_the_painted_map(ask: Ask) -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 2), (5, 7), (24, 24)):
        cells = rng.normal(size=shape).round(2).astype(np.float32)
        points = [sorted((round(x, 3), round(y, 3)) for x, y in line) for line in contour(cells, 0.25).tolist()]
        stated = sorted(",".join(f"{v + 0.0:.3f}" for point in line for v in point) for line in points)
        (told,) = ask([f"contour {shape[0]} {shape[1]} {','.join(map(str, cells.ravel()))} 0.25"])
        assert len(told.split()) == len(stated)
        numbers = [sorted(float(v) for v in line.split(",")) for line in told.split()]
        assert np.allclose(sorted(numbers), sorted(sorted(float(v) for v in s.split(",")) for s in stated), atol=2e-3)


@on_the_jvm
def test_bands_are_the_cards(ask: Ask) -> None:
    card = Reader.open().card
    low, high = card.abstention.least[1], 1 - card.abstention.least[0]
    assert low < card.operating_point.threshold < high
    words = ask(["bands"])[0].split()
    assert words[::3] == [card.labels[0], "uncertain", card.labels[1]]
    assert [float(word) for word in words[1::3]] == pytest.approx([0, low, high])
    assert [float(word) for word in words[2::3]] == pytest.approx([low, high, 1])


def test_the_manifest_names_activities_that_exist_and_no_network() -> None:
    activities = [element.attrib[f"{NAMESPACE}name"] for element in MANIFEST.iter("activity")]
    assert [f"class {name[1:]} " in SOURCES[name[1:]] for name in activities] == [True, True]
    permissions = [element.attrib[f"{NAMESPACE}name"] for element in MANIFEST.iter("uses-permission")]
    assert permissions == ["android.permission.CAMERA"]


def test_every_resource_that_is_named_exists() -> None:
    known = {kind: set(names) for kind, names in resources().items()}
    files = [ANDROID / "src/main/AndroidManifest.xml", *ANDROID.glob("src/main/res/*/*.xml")]
    used = {pair for file in files for pair in re.findall(r'"@(string|layout|bool)/(\w+)"', file.read_text("utf-8"))}
    assert len(used) >= 6
    assert {(kind, name) for kind, name in used if name not in known[kind]} == set()
    views = {
        element.tag for file in files for element in ElementTree.parse(file).iter() if "lucency.app" in element.tag
    }
    assert all(f"class {view.rpartition('.')[2]}(" in SOURCES[view.rpartition(".")[2]] for view in views)


def test_every_doubt_has_its_words() -> None:
    codes = {"small", "shape", "blank", "colour", "costs", "several", "neither", *SIGHTS, *GATE_WORDS}
    assert {name.removeprefix("doubt_") for name in resources()["string"] if name.startswith("doubt_")} == codes
    words = (ANDROID / "src/main/res/values/strings.xml").read_text(encoding="utf-8")
    assert all(f"{text}</string>" in words for text in (*GATE_WORDS.values(), *(text for _, text in SIGHTS.values())))


def test_gradle_takes_the_bundle_and_the_contract_from_where_they_are() -> None:
    build = (ANDROID / "build.gradle.kts").read_text(encoding="utf-8")
    for place in re.findall(r'"((?:\.\./)+[\w/]+)"', build):
        assert (ANDROID.parent / place).is_dir(), place
    assert build.count("../") == 3


def test_gradle_files_compile(tmp_path: Path) -> None:
    """Against the interfaces of Gradle and its plugins that gradle/Gradle.kt states; no Gradle evaluates them here.

    Debian's is older than the Android plugin and than Kotlin in build files. A slip of the pen in them is an error.
    """
    slips = {
        "minSdk": "minSDK",
        "mavenCentral()": "mavenCentrale()",
        "= 36": '= "36"',
        "implementation(": "implements(",
    }
    right = [_as_function(tmp_path / f"right{i}.kt", name, {}) for i, name in enumerate(GRADLE_FILES)]
    wrong = [_as_function(tmp_path / f"wrong{i}.kt", name, slips) for i, name in enumerate(GRADLE_FILES)]
    told = _errors(tmp_path, *right, *wrong)
    assert [line for line in told if "wrong" not in line] == []
    assert all(any(slip in line for line in told) for slip in ("minSDK", "mavenCentrale", "Int?", "implements"))


def _as_function(path: Path, name: str, slips: Mapping[str, str]) -> Path:
    """A build file as the method that Gradle makes of it, of its project or settings, line by line the same."""
    text = (ANDROID.parent / name).read_text(encoding="utf-8")
    for meant, written in slips.items():
        text = text.replace(meant, written)
    kind = "Settings" if name.startswith("settings") else "Project"
    path.write_text(f"package gradle; fun {kind}.{path.stem}() {{ {text}\n}}\n", encoding="utf-8")
    return path


def _errors(folder: Path, *sources: Path) -> list[str]:
    """What the compiler has against them."""
    _, _, compiler = kotlin_compiler(folder)
    command = [*compiler, str(HERE / "gradle/Gradle.kt"), *map(str, sources)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in told.stderr.splitlines() if " error: " in line]
