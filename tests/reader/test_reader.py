"""From files to readings."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cli.brightness import write_brightness_bundle, write_film
from lucency.bundle import Card, Model, OperatingPoint, open_bundle, write_bundle
from lucency.bundle.store import GOLDEN
from lucency.errors import BundleError, FilmError
from lucency.export.exporter import GOLDEN_FILMS, golden_files
from lucency.film import open_film
from lucency.reader import ENGINES, Outputs, Reader, Reading
from lucency.reader import reader as module
from lucency.reader.outputs import Engine
from lucency.reader.reader import verify_golden
from lucency.reader.reading import reading


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_brightness_bundle(tmp_path_factory.mktemp("reader") / "bundle")


def test_one_film_by_hand(bundle: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "film.png", 160)
    found = Reader.open(bundle).read(open_film(tmp_path / "film.png"))
    assert (found.verdict, found.finding) == ("pneumonia", "pneumonia")
    assert found.logit == pytest.approx(2.0, abs=0.01)  # one pixel of 1024 is a level darker
    assert found.probability == pytest.approx(1 / (1 + np.exp(-found.logit)), abs=1e-6)
    assert found.map.shape == (8, 8)
    assert float(found.map.mean()) == pytest.approx(found.logit, abs=1e-5)
    printed = found.to_json()
    assert (printed["film"], printed["verdict"], printed["warnings"]) == (str(tmp_path / "film.png"), "pneumonia", [])


@pytest.mark.parametrize("threads", [1, 3])
def test_many_films_in_order_and_past_the_bad_ones(bundle: Path, tmp_path: Path, threads: int) -> None:
    grays = list(range(40, 240, 4))
    paths = [tmp_path / f"{number}.png" for number in range(len(grays))]
    for path, gray in zip(paths, grays, strict=True):
        write_film(path, gray)
    (tmp_path / "bad.png").write_bytes(b"not a film")
    paths[20:20] = [tmp_path / "bad.png", tmp_path / "missing.png"]
    found = list(Reader.open(bundle, threads).read_many(iter(paths)))
    assert [path for path, _ in found] == paths
    errors = [(path.name, outcome) for path, outcome in found if not isinstance(outcome, Reading)]
    assert [name for name, _ in errors] == ["bad.png", "missing.png"]
    assert all(isinstance(error, FilmError) for _, error in errors)
    logits = [outcome.logit for _, outcome in found if isinstance(outcome, Reading)]
    assert logits == sorted(logits)
    assert len(logits) == len(grays)


def test_no_more_films_are_taken_than_are_in_work(bundle: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "film.png", 100)
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield tmp_path / "film.png"

    stream = Reader.open(bundle, 2).read_many(endless())
    for _ in range(5):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert taken <= 2 * module.IN_FLIGHT + 5


def test_a_bundle_in_a_zip(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for file in bundle.iterdir():
            archive.write(file, file.name)
    write_film(tmp_path / "film.png", 100)
    assert Reader.open(tmp_path / "bundle.zip").read(open_film(tmp_path / "film.png")).verdict == "normal"


def test_no_bundle_named_and_none_that_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DEFAULT", tmp_path / "none")
    with pytest.raises(BundleError, match="ships no bundle; name one with --bundle"):
        Reader.open()


@pytest.mark.parametrize("part", ["logits", "maps", "doubts"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_refused(
    bundle: Path, tmp_path: Path, part: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubt that is NaN is above no limit: a broken network would pass its own gate."""
    write_film(tmp_path / "film.png", 100)
    broken = {"logits": np.zeros((1, 1), np.float32), "maps": np.zeros((1, 1, 2, 2), np.float32)}
    broken |= {"doubts": np.zeros((1, 1), np.float32)}
    broken[part] = np.full_like(broken[part], value)
    answers = Outputs(probabilities=broken["logits"], **broken)
    monkeypatch.setitem(module.ENGINES, "onnx", lambda *_: Engine(lambda _: answers, lambda _: answers))
    reader = Reader.open(bundle)
    with pytest.raises(BundleError, match="NaN or infinity; its weights are broken"):
        reader.read(open_film(tmp_path / "film.png"))
    with pytest.raises(BundleError, match="NaN or infinity"):
        reader.read_batch(np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(BundleError, match="NaN or infinity"):
        list(reader.read_many([tmp_path / "film.png"]))


def _card(task: str, labels: tuple[str, ...]) -> Card:
    point = OperatingPoint(threshold=0.5)
    model = Model(format="onnx", file="m", backbone="none")
    return Card(name="x", task=task, labels=labels, model=model, operating_point=point)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "labels", "chances", "verdict", "finding"),
    [
        ("binary", ("normal", "ill"), [0.5], "ill", "ill"),
        ("binary", ("normal", "ill"), [0.49], "normal", "ill"),
        ("multiclass", ("a", "b", "c"), [0.2, 0.45, 0.35], "b", "b"),
        ("multilabel", ("a", "b", "c"), [0.6, 0.2, 0.7], "a|c", "c"),
        ("multilabel", ("a", "b", "c"), [0.1, 0.3, 0.2], "", "b"),
    ],
)
def test_verdicts(task: str, labels: tuple[str, ...], chances: list[float], verdict: str, finding: str) -> None:
    chance = np.array([chances], dtype=np.float32)
    maps = np.arange(len(chances), dtype=np.float32).reshape(1, -1, 1, 1)
    answers = Outputs(chance, chance, maps, np.zeros((1, 0), np.float32))
    found = reading(_card(task, labels), "film", answers, 0, ())
    assert (found.verdict, found.finding) == (verdict, finding)
    assert found.probability == pytest.approx(max(chances))
    assert found.map.tolist() == [[float(np.argmax(chances))]]
    assert ("probabilities" in found.to_json()) == (len(chances) > 1)


def with_golden(folder: Path, change=None) -> Path:  # type: ignore[no-untyped-def]
    """A brightness bundle with golden films; `change` may alter golden.json before it is written."""
    bundle = open_bundle(write_brightness_bundle(folder / "bare"))
    files = golden_files(bundle.card, ENGINES["onnx"](bundle, 1))
    if change:
        content = json.loads(files[GOLDEN])
        change(content)
        files[GOLDEN] = json.dumps(content).encode()
    write_bundle(folder / "bundle", bundle.card, {"model.onnx": bundle.read("model.onnx"), **files})
    return folder / "bundle"


def test_its_own_answers_are_met(tmp_path: Path) -> None:
    found = verify_golden(with_golden(tmp_path))
    assert found is not None
    assert found.films == len(GOLDEN_FILMS)
    assert max(found.logit, found.probability, found.map, found.doubt) < 1e-6


def test_golden_logits_by_hand(tmp_path: Path) -> None:
    """The network says (mean gray - 128) / 16 of the square that lies beside the film."""
    import io

    import numpy as np
    from PIL import Image

    bundle = open_bundle(with_golden(tmp_path))
    for film in json.loads(bundle.read(GOLDEN))["films"]:
        square = np.asarray(Image.open(io.BytesIO(bundle.read(film["square"]))), dtype=np.float64)
        assert film["logits"] == pytest.approx([(square.mean() - 128) / 16], abs=1e-5)
        assert np.array(film["maps"]).shape == (1, 8, 8)


@pytest.mark.parametrize(("name", "what"), [("logits", "logit"), ("probabilities", "probability")])
def test_other_answers_are_refused(tmp_path: Path, name: str, what: str) -> None:
    def off(content: dict) -> None:  # type: ignore[type-arg]
        content["films"][2][name][0] += 0.01 if name == "logits" else -0.01

    with pytest.raises(
        BundleError, match=f"the {what} of its golden films is off by 0.01 here, expected at most 0.001"
    ):
        verify_golden(with_golden(tmp_path, off))


def test_a_map_turned_over_is_refused(tmp_path: Path) -> None:
    def turned(content: dict) -> None:  # type: ignore[type-arg]
        content["films"][0]["maps"][0].reverse()

    with pytest.raises(BundleError, match="the map of its golden films is off"):
        verify_golden(with_golden(tmp_path, turned))


def test_another_square_is_refused(tmp_path: Path) -> None:
    def swapped(content: dict) -> None:  # type: ignore[type-arg]
        content["films"][0]["square"] = content["films"][1]["square"]

    with pytest.raises(BundleError, match=r"preprocessing golden/normal\.png does not give"):
        verify_golden(with_golden(tmp_path, swapped))


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        (lambda content: content.update(version=2), "is not valid at version"),
        (lambda content: content.update(films=[]), "is not valid at films"),
        (lambda content: content["films"][0].update(film="../film.png"), "is not valid at films.0.film"),
        (lambda content: content["films"][0].update(extra=1), "a field this lucency does not know"),
        (lambda content: content["films"][0].update(logits=[1.0, 2.0]), "logit of shape|is not valid"),
    ],
)
def test_what_is_not_golden_json_is_refused(tmp_path: Path, change, printed: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BundleError, match=printed) as caught:
        verify_golden(with_golden(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_a_bundle_without_golden_films(tmp_path: Path) -> None:
    assert verify_golden(write_brightness_bundle(tmp_path / "bundle")) is None
