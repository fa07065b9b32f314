"""Exporting a run: errors, and that failures leave nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucency.bundle import open_bundle
from lucency.errors import BundleError, ExportError, OutputError, UsageError
from lucency.export import TARGETS, litert
from lucency.export.exporter import export_run

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
