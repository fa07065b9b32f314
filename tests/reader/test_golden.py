"""Golden answers: written from one network, met by it, missed by another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from lucency.bundle import open_bundle, write_bundle
from lucency.bundle.golden import GOLDEN
from lucency.errors import BundleError
from lucency.export.exporter import GOLDEN_FILMS, golden_files
from lucency.reader import ENGINES
from lucency.reader.golden import verify_golden


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
    ("change", "told"),
    [
        (lambda content: content.update(version=2), "is not valid at version"),
        (lambda content: content.update(films=[]), "is not valid at films"),
        (lambda content: content["films"][0].update(film="../film.png"), "is not valid at films.0.film"),
        (lambda content: content["films"][0].update(extra=1), "a field this lucency does not know"),
        (lambda content: content["films"][0].update(logits=[1.0, 2.0]), "logit of shape|is not valid"),
    ],
)
def test_what_is_not_golden_json_is_refused(tmp_path: Path, change, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BundleError, match=told) as caught:
        verify_golden(with_golden(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_a_bundle_without_golden_films(tmp_path: Path) -> None:
    assert verify_golden(write_brightness_bundle(tmp_path / "bundle")) is None
