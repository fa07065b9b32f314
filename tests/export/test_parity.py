"""Parity by hand: two readers of brightness, one shifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli.brightness import SIDE, write_brightness_bundle, write_films
from lucency.bundle import Model, open_bundle, write_bundle
from lucency.data import read_dataset
from lucency.errors import BundleError
from lucency.export.parity import compare, correlations
from lucency.reader import Reader


def write_pair(folder: Path, shift: float = 0.0) -> tuple[Path, Path]:
    """(source, export): the export's film is `shift` gray levels darker before it is read."""
    source = open_bundle(write_brightness_bundle(folder / "source"))
    content = source.read("model.onnx")
    middle, shifted = np.float32(128).tobytes(), np.float32(128 + shift).tobytes()
    assert content.count(middle) == 1
    model = source.card.model.model_copy(update={"source": source.card.files["model.onnx"]})
    card = source.card.model_copy(update={"model": model})
    write_bundle(folder / "export", card, {"model.onnx": content.replace(middle, shifted)})
    return folder / "source", folder / "export"


def test_compare_by_hand(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path, shift=8)  # every logit half lower
    films = read_dataset(write_films(tmp_path / "films", normal=[100, 132, 120], ill=[200, 133, 160]))
    found = compare(Reader.open(source), Reader.open(export), films, "six films")
    assert found.parity.films == 6
    assert found.parity.logit_mean == pytest.approx(0.5, abs=1e-6)
    assert found.parity.logit_max == pytest.approx(0.5, abs=1e-6)
    assert found.parity.map_correlation is None or found.parity.map_correlation > 0.999
    # between 128 and 136 gray the two disagree: one normal film and one positive
    assert {(flip.film, flip.label) for flip in found.flips} == {
        ("NORMAL/IM-0002-0001.png", "normal"),
        ("PNEUMONIA/person2_bacteria_2.png", "pneumonia"),
    }
    assert found.parity.flips == 2
    for flip in found.flips:
        assert flip.source[0] > 0.5 > flip.export[0]
    # of nine pairs all are in order
    assert found.parity.auroc_source == found.parity.auroc_export == 1.0


def test_a_bundle_equals_itself(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path)
    films = read_dataset(write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210]))
    found = compare(Reader.open(source), Reader.open(export), films, "four films")
    assert (found.parity.logit_max, found.parity.flips, found.flips) == (0.0, 0, ())


def test_an_unreadable_film_is_skipped(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path)
    root = write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210])
    (root / "NORMAL" / "IM-0001-0001.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    found = compare(Reader.open(source), Reader.open(export), read_dataset(root), "films")
    assert found.parity.films == 3
    assert len(found.unreadable) == 1


def test_a_bundle_of_another_run_raises(tmp_path: Path) -> None:
    source, _ = write_pair(tmp_path)
    films = read_dataset(write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210]))
    with pytest.raises(BundleError, match="its card names other weights"):
        compare(Reader.open(source), Reader.open(source), films, "films")


def test_another_preprocessing_raises(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path)
    bundle = open_bundle(export)
    card = bundle.card.model_copy(
        update={"preprocess": bundle.card.preprocess.model_copy(update={"resize_mode": "crop"})}
    )
    write_bundle(tmp_path / "cropped", card, {"model.onnx": bundle.read("model.onnx")})
    films = read_dataset(write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210]))
    with pytest.raises(BundleError, match="preprocesses films differently from"):
        compare(Reader.open(source), Reader.open(tmp_path / "cropped"), films, "films")


def test_correlations_by_hand() -> None:
    ramp = np.arange(SIDE * SIDE, dtype=np.float32).reshape(1, 1, SIDE, SIDE)
    ours = np.concatenate([ramp, ramp, ramp])
    theirs = np.concatenate([3 * ramp + 7, -ramp, np.ones_like(ramp)])
    found = correlations(ours, theirs)
    assert found[:2].tolist() == pytest.approx([1, -1])
    assert np.isnan(found[2])


def test_correlations_equal_numpys() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(2, 5, 3, 4, 4))
    expected = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)]
    assert correlations(ours, theirs).tolist() == pytest.approx(expected)


def test_parity_is_a_field_of_the_card(tmp_path: Path) -> None:
    source, export = write_pair(tmp_path, shift=8)
    films = read_dataset(write_films(tmp_path / "films", normal=[100, 110], ill=[200, 210]))
    parity = compare(Reader.open(source), Reader.open(export), films, "films").parity
    card = open_bundle(export).card
    assert card.model_copy(update={"parity": parity}).model_dump()["parity"]["data"] == "films"
    assert isinstance(card.model, Model)
