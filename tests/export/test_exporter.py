"""Exporting a run: errors, and that failures leave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lucency.bundle import Bundle, Card, Model, Square, Training, open_bundle
from lucency.data import read_dataset
from lucency.data.dataset import Dataset, Sample
from lucency.data.learned import LEARNED, learned_bytes
from lucency.data.splits import Fold, split_hash, train_val_split
from lucency.errors import BundleError, ExportError, OutputError, UsageError
from lucency.export import TARGETS, litert
from lucency.export.exporter import calibration_squares, export_run, stratified_sample, training_films
from lucency.files import sha256_bytes
from lucency.film import Film
from lucency.recipe import DataSettings

from .small_runs import write_run

SIDE = 32


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", "mobilenet_v1", "linear", side=SIDE, width=0.25)


def test_an_unknown_target_raises(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of litert, onnx, coreml; received 'tflite'"):
        export_run(run, "tflite", tmp_path / "out")  # type: ignore[arg-type]


def test_an_unknown_quantization_raises(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="received 'int4'"):
        export_run(run, "litert", tmp_path / "out", "int4")  # type: ignore[arg-type]


@pytest.mark.long
def test_exporting_a_bundle_raises(run: Path, tmp_path: Path) -> None:
    export_run(run, "onnx", tmp_path / "out")
    with pytest.raises(BundleError, match="expected a run"):
        export_run(tmp_path / "out", "onnx", tmp_path / "again")
    with pytest.raises(OutputError, match="holds a bundle already"):
        export_run(run, "onnx", tmp_path / "out")
    assert not (tmp_path / "again").exists()
    assert export_run(run, "onnx", tmp_path / "out", replace=True) == open_bundle(tmp_path / "out").card


def test_a_failed_export_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(content: bytes, outputs: tuple[str, ...]) -> None:
        raise ExportError("litert: expected built-in operators only, found FlexErf")

    target = TARGETS["onnx"]
    monkeypatch.setitem(TARGETS, "onnx", type(target)(target.file, target.convert, target.quantize, refuse))
    with pytest.raises(ExportError, match="FlexErf"):
        export_run(run, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_converter_errors_are_one_line() -> None:
    assert litert.first_line(ValueError("first\nsecond")) == "ValueError: first"
    assert litert.first_line(KeyError()) == "KeyError"


def run_for(learned: Dataset, settings: DataSettings, kept: bytes | None = None) -> Bundle:
    """A run that learned from these films; `kept` is its file of hashes."""
    files = {} if kept is None else {LEARNED: sha256_bytes(kept)}
    return Bundle(
        Path("run"), card_for(learned, settings).model_copy(update={"files": files}), "", lambda _: kept or b""
    )


def card_for(learned: Dataset, settings: DataSettings) -> Card:
    return Card(
        name="run",
        labels=learned.labels,
        preprocess=Square(image_size=32),
        model=Model(format="torch", file="model.safetensors", backbone="mobilenet_v2"),
        training=Training(
            recipe={"name": "run", "data": settings.model_dump(mode="json")},
            films=len(learned),
            split_hash=split_hash(learned, range(len(learned))),
        ),
    )


def names(films: Dataset) -> set[str]:
    return {record.name for record in films.samples}


def test_calibration_films_are_the_training_films() -> None:
    films, settings = read_dataset("phantom:60"), DataSettings(validation=0.2)
    learned, judged, _ = train_val_split(films, settings)
    found = training_films(run_for(learned, settings), films, None)
    assert names(found) == names(learned)
    assert names(found).isdisjoint(names(judged))


def test_calibration_films_of_a_fold() -> None:
    films, settings = read_dataset("phantom:80"), DataSettings(validation=0.2)
    rest, held = Fold(2, 4).split(films)
    learned, _, _ = train_val_split(rest, settings)
    found = training_films(run_for(learned, settings), films, Fold(2, 4))
    assert names(found) == names(learned)
    assert {record.patient for record in found.samples}.isdisjoint({record.patient for record in held.samples})


def test_a_run_that_keeps_hashes_needs_no_fold() -> None:
    films, settings = read_dataset("phantom:40"), DataSettings(validation=0.2)
    learned, judged, _ = train_val_split(Fold(2, 4).split(films)[0], settings)
    run = run_for(learned, settings, learned_bytes(learned, judged))
    assert names(training_films(run, films, None)) == names(learned)
    with pytest.raises(ExportError, match="training films of the run, these are others"):
        training_films(run, read_dataset("phantom:8:7"), None)


@pytest.mark.parametrize("fold", [None, Fold(1, 4), Fold(2, 5)])
def test_other_films_are_refused(fold: Fold | None) -> None:
    films, settings = read_dataset("phantom:80"), DataSettings()
    learned, _, _ = train_val_split(Fold(2, 4).split(films)[0], settings)
    with pytest.raises(ExportError, match="training films of the run, these are others"):
        training_films(run_for(learned, settings), films, fold)


def test_an_unknown_fold_raises() -> None:
    with pytest.raises(UsageError, match="from 1 to 5, received 6"):
        Fold(6, 5).split(read_dataset("phantom:80"))


def test_squares_follow_the_cards_preprocessing() -> None:
    films, settings = read_dataset("phantom:40"), DataSettings(validation=0.2)
    learned, _, _ = train_val_split(films, settings)
    found = calibration_squares(run_for(learned, settings), films, None, count=8)
    assert found.shape[1:] == (32, 32)
    assert 8 <= len(found) < 8 + 3  # normal, bacteria and virus get their share each, rounded up


def listed(kinds: list[tuple[int, str, int]]) -> Dataset:
    """Records of (label, cause, patient)."""

    def never() -> Film:
        raise AssertionError("no film is opened to choose among them")

    records = tuple(
        Sample(f"{i}", label, never, f"{label} {cause} {patient}", columns={"cause": cause})
        for i, (label, cause, patient) in enumerate(kinds)
    )
    return Dataset(("normal", "pneumonia"), records)


def test_sampling_is_balanced_by_kind() -> None:
    films = listed([(0, "none", i) for i in range(50)] + [(1, "bacteria", i) for i in range(100)] + [(1, "virus", 0)])
    chosen = stratified_sample(films, 30)
    causes = [films.samples[i].columns["cause"] for i in chosen]
    assert (causes.count("none"), causes.count("bacteria"), causes.count("virus")) == (10, 10, 1)


def test_sampling_prefers_new_patients() -> None:
    films = listed([(label, "", patient) for label in (0, 1) for patient in range(10) for _ in range(7)])
    chosen = stratified_sample(films, 20)
    assert len({films.samples[i].patient for i in chosen}) == len(chosen) == 20


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abc"), st.integers(0, 5)), min_size=1), st.integers(1, 40)
)
@settings(deadline=None)
def test_sampling_takes_distinct_films(kinds: list[tuple[int, str, int]], count: int) -> None:
    films = listed(kinds)
    chosen = stratified_sample(films, count).tolist()
    assert len(set(chosen)) == len(chosen)
    strata = {(label, cause) for label, cause, _ in kinds}
    assert min(1, len(kinds)) <= len(chosen) <= count + len(strata)
    assert {kinds[i][:2] for i in chosen} == strata
