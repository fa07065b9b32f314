"""What a film's file says before its pixels are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.audit.files import chroma, of_file, quality


@pytest.mark.parametrize("asked", [25, 50, 75, 90, 95])
def test_jpeg_quality_is_what_the_encoder_was_asked_for(tmp_path: Path, asked: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for mode in ("L", "RGB"):
        Image.fromarray(noise).convert(mode).save(tmp_path / "film.jpg", quality=asked)
        assert of_file(tmp_path / "film.jpg")[1] == pytest.approx(asked, abs=1)


def test_the_standard_table_is_quality_50() -> None:
    assert quality({0: [3688 // 64] * 40 + [3688 // 64 + 1] * 24}) == pytest.approx(50, abs=0.5)
    assert np.isnan(quality(None))


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "PNG"), (".tif", "TIFF"), (".jpg", "JPEG")])
def test_a_file_is_what_it_holds(tmp_path: Path, suffix: str, kind: str) -> None:
    Image.new("L", (8, 8), 7).save(tmp_path / f"film{suffix}")
    for name in (f"film{suffix}", "film.dcm"):
        if name == "film.dcm":
            (tmp_path / f"film{suffix}").rename(tmp_path / name)
        row = of_file(tmp_path / name)
        assert row[0] == (tmp_path / name).stat().st_size
        assert row[3:] == (kind, "DICOM" if name == "film.dcm" else kind)


def test_dicom_and_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(bytes(128) + b"DICM" + bytes(16))
    (tmp_path / "film.xyz").write_bytes(b"?" * 200)
    assert of_file(tmp_path / "film")[3:] == ("DICOM", "")
    assert of_file(tmp_path / "film.xyz")[3:] == ("", "")


def test_colour() -> None:
    assert chroma(Image.new("L", (90, 50), 200)) == 0
    assert chroma(Image.new("RGB", (90, 50), (80, 80, 80))) == 0
    assert chroma(Image.new("RGB", (90, 50), (200, 80, 100))) == pytest.approx(120)
