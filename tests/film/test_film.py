"""Films, and the opening of files: what is read, and how a refusal is worded."""

from __future__ import annotations

import io
import os
import pickle
import threading

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from lucency.errors import FilmError
from lucency.film import Film, open_film, open_films
from lucency.film.film import kind_of
from lucency.film.limits import MAX_BYTES, at_most


def test_sixteen_bits_become_the_nearest_of_256_levels():
    # 65535 / 255 = 257, so level k stands at 257 k and the halfway point to the next at 257 k + 128.5.
    values = np.array([[0, 128, 129, 257, 257 + 128, 257 + 129, 65535 - 129, 65535 - 128, 65535]], dtype=np.uint16)
    assert Film(values).gray8().tolist() == [[0, 0, 1, 1, 1, 2, 254, 255, 255]]


def test_every_sixteen_bit_value_follows_the_formula():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = [[(v * 255 + 32767) // 65535 for v in row] for row in values.tolist()]
    assert Film(values).gray8().tolist() == expected


def test_eight_bits_stay_as_they_are():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(Film(values).gray8(), values)


def test_a_film_cannot_be_written_to_and_its_source_can():
    source = np.zeros((2, 3), dtype=np.uint8)
    film = Film(source)
    with pytest.raises(ValueError, match="read-only"):
        film.pixels[0, 0] = 1
    source[0, 0] = 1


def test_a_film_survives_the_way_to_another_process():
    film = Film(np.arange(6, dtype=np.uint16).reshape(2, 3), "a.png", {"view": "PA"})
    copy = pickle.loads(pickle.dumps(film))
    assert np.array_equal(copy.pixels, film.pixels)
    assert (copy.name, copy.facts, copy.shape) == ("a.png", {"view": "PA"}, (2, 3))
    assert not copy.pixels.flags.writeable


def test_foreign_byte_order_is_made_native():
    assert Film(np.array([[258]], dtype=">u2")).pixels.dtype.isnative
    assert Film(np.array([[258]], dtype=">u2")).pixels[0, 0] == 258


def test_what_is_printed_of_a_film_names_nobody():
    film = Film(np.zeros((2, 3), dtype=np.uint8), "/ward/DOE_JANE.dcm", {"patient": "12345"})
    assert repr(film) == str(film) == "Film(2x3, uint8)"


@pytest.mark.parametrize("pixels", [np.zeros((0, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2))])
def test_what_is_no_gray_picture_is_no_film(pixels):
    with pytest.raises(ValueError, match="expected uint8 or uint16"):
        Film(pixels)


GRAY = np.random.default_rng(8).integers(0, 256, (40, 48)).astype(np.uint8)


def encoded(kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GRAY).save(stream, kind, **options)
    return stream.getvalue()


def compressed(plain: bytes, syntax: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(plain))
    dataset.compress(syntax)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_a_server_may_want_fewer_pixels():
    film = encoded("PNG")
    with at_most(48 * 40):
        assert open_film(film).shape == (40, 48)
    with at_most(48 * 40 - 1), pytest.raises(FilmError, match=r"48 x 40 pixels.*at most 0.001919 megapixels"):
        open_film(film)
    assert open_film(film).shape == (40, 48)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_content_counts_not_the_extension(tmp_path, kind):
    path = tmp_path / "film.dcm"
    path.write_bytes(encoded(kind))
    assert open_film(path).facts["format"] == kind
    assert open_film(str(path)).name == str(path)


def test_dicom_under_any_name(tmp_path, make_dicom):
    path = tmp_path / "film.jpeg"
    path.write_bytes(make_dicom(GRAY))
    assert open_film(path).facts["format"] == "DICOM"


def test_bytes_may_have_a_name():
    assert open_film(encoded("PNG"), "chest.png").name == "chest.png"
    with pytest.raises(FilmError, match=r"^chest\.png: found an empty file"):
        open_film(b"", "chest.png")
    with pytest.raises(FilmError, match=r"^film: found an empty file"):
        open_film(b"")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"GIF89a", "a GIF image"),
        (b"BM\0\0", "a BMP image"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP image"),
        (b"\0\0\0\x18ftypheic", "a HEIC photograph"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"\0" * 600, "a file of zeros"),
        (b"<!DOCTYPE html>", "a web page or XML"),
        (b"file,label\n", "a text file"),
        (b"\x12\x34\xff\xee", "a file of an unknown kind"),
    ],
)
def test_what_is_no_film_is_named(head, kind):
    assert kind_of(head) == kind
    with pytest.raises(FilmError, match=f"film: found {kind}; expected PNG, JPEG or TIFF"):
        open_film(head)


def test_a_missing_file(tmp_path):
    with pytest.raises(FilmError, match=r"nowhere\.png: found no such file.*check the path"):
        open_film(tmp_path / "nowhere.png")


def test_a_folder(tmp_path):
    with pytest.raises(FilmError, match="found a folder"):
        open_film(tmp_path)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FilmError, match="a device or pipe"):
        open_film(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path):
    (tmp_path / "film.png").write_bytes(encoded("PNG"))
    (tmp_path / "film.png").chmod(0)
    with pytest.raises(FilmError, match=r"cannot be read .Permission denied"):
        open_film(tmp_path / "film.png")


def test_an_impossible_path():
    with pytest.raises(FilmError, match=r"film\?\.png: cannot be read"):
        open_film("film\0.png")
    with pytest.raises(FilmError, match=r"cannot be read .File name too long"):
        open_film("a" * 5000)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "film.png"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(FilmError, match=r"found a file of 256 MiB.*at most 256 MiB are read"):
        open_film(path)


def test_a_name_with_a_newline_stays_on_one_line(tmp_path):
    with pytest.raises(FilmError) as caught:
        open_film(tmp_path / "two\nlines\udcff\x1b[31m.png")
    assert str(caught.value).isprintable()


def test_a_batch_goes_on_past_a_bad_film(tmp_path):
    for name, content in {"a.png": encoded("PNG"), "b.png": b"rubbish", "c.jpg": encoded("JPEG")}.items():
        (tmp_path / name).write_bytes(content)
    answers = list(open_films([tmp_path / name for name in ("a.png", "b.png", "missing", "c.jpg")]))
    assert [path.name for path, _ in answers] == ["a.png", "b.png", "missing", "c.jpg"]
    assert [type(answer) for _, answer in answers] == [Film, FilmError, FilmError, Film]


def test_threads_read_the_same_films(tmp_path, make_dicom):
    files = [encoded("PNG"), make_dicom(GRAY), encoded("TIFF", compression="tiff_lzw"), b"rubbish"] * 5
    answers: list[object] = [None] * len(files)

    def read(index: int) -> None:
        try:
            answers[index] = open_film(files[index]).pixels.tobytes()
        except FilmError as error:
            answers[index] = str(error)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers[:3]) == {GRAY.tobytes()}
    assert answers == answers[:4] * 5


def originals(make_dicom) -> dict[str, bytes]:
    dicom = make_dicom(np.tile(GRAY, (2, 2)), WindowCenter=128, WindowWidth=256, PatientAge="004Y")
    return {
        "png": encoded("PNG"),
        "jpeg": encoded("JPEG"),
        "progressive": encoded("JPEG", progressive=True),
        "tiff": encoded("TIFF"),
        "lzw": encoded("TIFF", compression="tiff_lzw"),
        "deflate": encoded("TIFF", compression="tiff_deflate"),
        "dicom": dicom,
        "rle": compressed(dicom, RLELossless),
        "jpeg2000": compressed(dicom, JPEG2000Lossless),
        "jpegls": compressed(dicom, JPEGLSLossless),
    }


def mutants(data: bytes, seed: int, number: int):
    """`data` cut, spliced, or with bytes changed; half of the changes where headers lie."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        changed = bytearray(data)
        match int(rng.integers(4)):
            case 0:
                del changed[int(rng.integers(len(data))) :]
            case 1:
                at = int(rng.integers(len(data)))
                del changed[at : at + int(rng.integers(1, 40))]
            case kind:
                reach = len(data) if kind == 2 else min(len(data), 400)
                for at in rng.integers(0, reach, int(rng.integers(1, 6))):
                    changed[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
        yield bytes(changed)


KINDS = ("png", "jpeg", "progressive", "tiff", "lzw", "deflate", "dicom", "rle", "jpeg2000", "jpegls")


def refusals(data: bytes, seed: int, number: int) -> list[str]:
    """What is said of the mutants that cannot be read; anything else that is raised fails the test."""
    said = []
    for mutant in mutants(data, seed, number):
        try:
            open_film(mutant)
        except FilmError as error:
            said.append(str(error))
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_in_one_line(make_dicom, kind, capfd, caplog):
    data = originals(make_dicom)[kind]
    caplog.set_level(0)
    said = refusals(data, seed=KINDS.index(kind), number=60)
    assert len(said) > 10
    assert all(line.startswith("film: found ") and line.isprintable() for line in said)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files(make_dicom, kind, capfd):
    data = originals(make_dicom)[kind]
    said = refusals(data, seed=1000 + KINDS.index(kind), number=3000)
    assert [line for line in said if not line.isprintable() or len(line) > 500] == []
    assert capfd.readouterr() == ("", "")
