"""The page of a reader of several classes in colour reads as Python does, and speaks of its own kind of picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from contracts.test_modalities import run_of
from film.conftest import MakeDicom
from film.test_dicom_colour import bytes_of, colour, compressed, silent_jpeg, with_palette
from lucency.bundle import DEFAULT, Abstention, Calibration, Costs, Training, open_bundle, write_bundle
from lucency.data.phantom import draw
from lucency.errors import FilmError
from lucency.evaluate.selective_prediction import prediction_sets
from lucency.export.exporter import export_run
from lucency.film import open_film
from lucency.reader import Reader
from lucency.serve.static import page_for
from lucency.web import write_page
from web.browser import DESKTOP, PHONE, PROBE, axe, read, ready, served
from web.test_parity import compare, stored

pytestmark = pytest.mark.long

NAMES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
SCALED = Calibration(
    method="platt", parameters={"slope": (16.0,) * 7, "offset": (9.6, 17.4, -7.4, 3.8, 8.6, -5.8, -6.2)}
)
"""Vector scaling that brings the answers of an untrained network near each other."""
MATRIX = np.diag(SCALED.parameters["slope"]) - 2 * np.eye(7, k=1)
SWAPPED = Calibration(
    method="dirichlet", parameters={"matrix": tuple(MATRIX.ravel()), "offset": SCALED.parameters["offset"]}
)
COSTS = Costs(
    called=tuple(tuple((8.0 if true == "mel" else 1.0) * (true != said) for said in NAMES) for true in NAMES),
    refer=(0.6,) * 7,
    source="costs.csv",
)
"""A missed melanoma costs eight other errors."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained reader of skin, and the same as if of retinas."""
    folder = tmp_path_factory.mktemp("colour")
    sets = Abstention(method="conformal", coverage=0.9, least=(0.2,) * 7)
    run_of(folder / "run", "skin", NAMES, calibration=SCALED, abstention=sets, limits=("It knows few lesions.",))
    export_run(folder / "run", "litert", folder / "skin")
    bundle = open_bundle(folder / "skin")
    files = {name: bundle.read(name) for name in bundle.card.files}
    write_bundle(folder / "fundus", bundle.card.model_copy(update={"modality": "fundus", "files": {}}), files)
    files = {name: content for name, content in files.items() if not name.startswith("golden")}  # by SCALED
    costly = {"calibration": SWAPPED, "costs": COSTS, "abstention": Abstention(), "files": {}}
    nameless = {"training": Training(source="folder", films=1200, patients=None)}
    write_bundle(folder / "costly", bundle.card.model_copy(update=costly | nameless), files)
    for out in ("skin", "fundus", "costly"):
        write_page(open_bundle(folder / out), folder / f"page-{out}")
        (folder / f"page-{out}" / "probe.html").write_text(PROBE, encoding="utf-8")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module", params=["skin", "fundus"])
def opened(request: pytest.FixtureRequest, browser: Any, bundles: dict[str, Path]) -> Iterator[tuple[Path, Any]]:
    with served(bundles[f"page-{request.param}"]) as address:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        yield bundles[request.param], tab
        tab.close()


def skin(seed: int, width: int = 120, height: int = 90) -> np.ndarray:
    """A spot on skin."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    spot = ((y - height / 2) ** 2 + (x - width / 2) ** 2 < rng.uniform(0.03, 0.1) * height * width)[..., None]
    noise = rng.normal(0, 6, (height, width, 3))
    return np.clip(rng.integers(120, 230, 3) + noise - spot * rng.integers(30, 110, 3), 0, 255).astype(np.uint8)


def retina(seed: int, side: int = 128) -> np.ndarray:
    """A lit disc on black."""
    y, x = np.mgrid[:side, :side]
    disc = ((y - side / 2) ** 2 + (x - side / 2) ** 2 < side**2 / 4.2)[..., None]
    return (disc * np.clip(skin(seed, side, side) - [0, 60, 90], 0, 255)).astype(np.uint8)


def pictures() -> list[bytes]:
    """Pictures in every form that they come in, of their kind and of another."""
    small, turned = skin(1), io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(skin(5)).save(turned, "JPEG", quality=95, subsampling=0, exif=exif)
    display = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    opaque = np.dstack([small, np.full(small.shape[:2], 255, np.uint8)])
    alone = Image.fromarray(skin(6)).convert("L")
    return [
        *(stored(skin(seed, 100 + 10 * seed, 140 - 8 * seed), "PNG") for seed in range(6)),
        *(stored(retina(seed), "PNG") for seed in range(3)),
        *(stored(skin(seed), "JPEG", quality=90, subsampling=seed - 7) for seed in (7, 8, 9)),
        stored(skin(10), "JPEG", quality=85, progressive=True),
        stored(skin(11), "JPEG", quality=85, icc_profile=display),
        stored(skin(16), "JPEG", quality=90, keep_rgb=True),
        stored(skin(16), "JPEG", quality=90, keep_rgb=True).replace(b"Adobe", b"Other"),  # its parts say R, G, B
        silent_jpeg(skin(17), is_rgb=False),
        stored(skin(12), "PNG", icc_profile=display),
        stored(skin(13), "PNG", exif=exif.tobytes()),
        turned.getvalue(),
        stored(opaque, "PNG"),
        stored(np.asarray(alone), "PNG"),
        stored(draw(2, ill=True, side=200).film, "PNG"),
        stored(np.full((60, 70, 3), (200, 150, 130), np.uint8), "PNG"),
        stored(np.random.default_rng(4).normal((200, 150, 130), 3, (80, 90, 3)).astype(np.uint8), "PNG"),
        stored(skin(14, 200, 60), "PNG"),
        stored(skin(15, 40, 30), "PNG"),
    ]


def captures(make_dicom: MakeDicom) -> list[bytes]:
    """Photographs as DICOM stores them."""
    picture, stream = skin(20, 80, 64), io.BytesIO()
    planes, shape = np.moveaxis(picture, 2, 0), {"Rows": 64, "Columns": 80}
    halved = np.stack([picture[:, ::2, 0], picture[:, 1::2, 0], picture[:, ::2, 1], picture[:, ::2, 2]], axis=2)
    Image.fromarray(picture).save(stream, "JPEG", quality=90)

    def wrapped(jpeg: bytes, photometric: str) -> bytes:
        inside = pydicom.dcmread(io.BytesIO(colour(make_dicom, picture, photometric, Modality="XC")))
        inside.file_meta.TransferSyntaxUID, inside.PixelData = JPEGBaseline8Bit, encapsulate([jpeg])
        stream = io.BytesIO()
        inside.save_as(stream)
        return stream.getvalue()

    return [
        colour(make_dicom, picture, Modality="OP"),
        colour(make_dicom, planes, Modality="DMS", PlanarConfiguration=1, **shape),
        colour(make_dicom, picture, "YBR_FULL", Modality="CT"),
        colour(make_dicom, halved, "YBR_FULL_422", Modality="XC", **shape),
        wrapped(stream.getvalue(), "YBR_FULL_422"),
        wrapped(silent_jpeg(picture, is_rgb=True), "RGB"),
        wrapped(silent_jpeg(picture, is_rgb=False), "YBR_FULL"),
        wrapped(stored(picture, "JPEG", quality=90, keep_rgb=True), "RGB"),
        colour(make_dicom, picture.astype(np.uint16) * 257 >> 4, Modality="OP", BitsStored=12),
        colour(make_dicom, planes.astype("<u2") << 8, "YBR_FULL", Modality="OP", PlanarConfiguration=1, **shape),
        with_palette(
            make_dicom, picture[:, :, 0], np.random.default_rng(3).integers(0, 256, (200, 3)).astype(np.uint8), 8, 20
        ),
        with_palette(
            make_dicom, picture[:, :, 1], np.random.default_rng(4).integers(0, 65536, (256, 3)).astype("<u2"), 16
        ),
        make_dicom(picture[:, :, 0], Modality="OP"),
    ]


def coded(make_dicom: MakeDicom) -> list[bytes]:
    """The same without the baseline JPEG: every other coding of colour, lossless and lossy."""
    jpeg_ls, picture = pytest.importorskip("jpeg_ls"), skin(21, 80, 64)
    deep = pydicom.dcmread(io.BytesIO(colour(make_dicom, picture.astype(np.uint16) * 257 >> 4, BitsStored=12)))
    codings = [
        *((syntax, "RGB", {}) for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless)),
        (JPEG2000Lossless, "YBR_RCT", {}),
        (JPEGLSNearLossless, "RGB", {"jls_error": 3}),
        *((JPEG2000, photometric, {"j2k_cr": [5]}) for photometric in ("RGB", "YBR_ICT")),
    ]
    films = [compressed(make_dicom, picture, *coding, **how) for *coding, how in codings]
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        made = pydicom.dcmread(io.BytesIO(bytes_of(deep)))
        made.compress(syntax)
        films.append(bytes_of(made))
    chroma = pydicom.dcmread(io.BytesIO(films[0]))
    chroma.PhotometricInterpretation = "YBR_FULL"
    by_plane = pydicom.dcmread(io.BytesIO(films[1]))
    stream = jpeg_ls.encode_array(
        np.ascontiguousarray(np.moveaxis(picture, 2, 0)), interleave_mode=0
    )  # one component after another
    by_plane.PixelData = encapsulate([bytes(stream)])
    return [*films, bytes_of(chroma), bytes_of(by_plane)]


def test_colour_coded_without_baseline_jpeg(opened: tuple[Path, Any], make_dicom: MakeDicom) -> None:
    bundle, tab = opened
    films = coded(make_dicom)
    told = read(tab, films)
    assert [one.get("error") for one in told] == [None] * len(films)
    compare(bundle, told, films)


def test_lossless_jpeg_in_colour_is_refused_by_name(opened: tuple[Path, Any], make_dicom: MakeDicom) -> None:
    made = pydicom.dcmread(io.BytesIO(colour(make_dicom, skin(21, 80, 64))))
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = encapsulate([b"\xff\xd8\xff\xc3" + bytes(60)])
    film = bytes_of(made)
    (told,) = read(opened[1], [film])
    assert "a DICOM in colour compressed as lossless JPEG" in told["error"]
    with pytest.raises(FilmError, match="a DICOM in colour compressed as JPEG Lossless"):
        open_film(film)


def test_colour_in_every_form(opened: tuple[Path, Any], make_dicom: MakeDicom) -> None:
    bundle, tab = opened
    films = [*pictures(), *captures(make_dicom)]
    told = read(tab, films)
    compare(bundle, told, films)
    reader = Reader.open(bundle)
    for here, data in zip(told, films, strict=True):
        there = reader.read(open_film(data))
        assert here["probabilities"] == pytest.approx(there.probabilities.tolist(), abs=1e-3)
        assert tuple(here["doubts"]) == there.doubts
    said = {code for here in told for code in here["doubts"]}
    assert said >= {"colour", "profile", "small", "shape", "modality"}
    assert said & {"lesion", "round_field"}


@pytest.mark.slow
def test_the_shared_pictures(opened: tuple[Path, Any], shared: Path) -> None:
    bundle, tab = opened
    paths = [sorted((shared / "data/organs" / organ).rglob("*.jp*g"))[:: 200 if organ != "ct" else 300] for organ in
             ("skin", "retina", "mri", "ct")]  # fmt: skip
    films = [path.read_bytes() for organ in paths for path in organ]
    assert len(films) > 30
    compare(bundle, read(tab, films), films)


@pytest.fixture
def tab(browser: Any, bundles: dict[str, Path]) -> Iterator[Any]:
    with served(bundles["page-skin"]) as address:
        page = browser.new_page(viewport=DESKTOP)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        ready(page, address)
        page.address = address
        yield page
        page.close()
        assert errors == []


def put(tab: Any, folder: Path, films: list[bytes]) -> None:
    for number, film in enumerate(films):
        (folder / f"{number}.png").write_bytes(film)
    tab.set_input_files("#files", [folder / f"{number}.png" for number in range(len(films))])
    tab.wait_for_function(
        "(n) => document.querySelectorAll('#list li').length === n && !document.querySelector('.waiting')",
        arg=len(films),
    )
    tab.wait_for_timeout(200)


def test_it_speaks_of_skin_alone(tab: Any, bundles: dict[str, Path], tmp_path: Path) -> None:
    put(tab, tmp_path, pictures()[:2])
    tab.click("#about")
    for language, own in (("en", "skin photograph"), ("de", "Hautaufnahme")):
        words = tab.evaluate("document.body.textContent.toLowerCase()")
        assert own.lower() in words
        found = [word for word in ("chest", "lung", "pneumon", "thorax", " film") if word in visible(tab)]
        assert found == [], language
        ready(tab, f"{tab.address}?lang=de")
        put(tab, tmp_path, pictures()[:2])
    assert "It knows few lesions." in tab.text_content("#limits")
    names = {path.name for path in bundles["page-skin"].iterdir()}
    assert not names & {"lungs.bin", "lungs.json"}
    assert page_for(open_bundle(bundles["skin"]))["modality.js"].endswith(b'KIND = "skin";\n')  # the server's page, too


def visible(tab: Any) -> str:
    return str(tab.evaluate("`${document.title} ${document.body.innerText}`.toLowerCase()"))


def test_a_map_for_each_class_and_the_set_in_words(tab: Any, bundles: dict[str, Path], tmp_path: Path) -> None:
    reader = Reader.open(bundles["skin"])
    films = [stored(skin(seed), "PNG") for seed in range(40)]
    readings = [reader.read(open_film(film)) for film in films]
    several = next(n for n, one in enumerate(readings) if one.doubts == ("several",))
    reading = readings[several]
    inside = prediction_sets(reading.probabilities[None], "multiclass", reader.card.abstention.least)[0]
    put(tab, tmp_path, [films[several]])
    words = " or ".join(name for name, held in zip(NAMES, inside, strict=True) if held)
    assert tab.text_content("#verdict") == f"{words}: refer"
    order = list(reading.leading.values())
    tab.wait_for_selector("#scale .label")
    assert [row.split()[0] for row in tab.locator("#scale .label").all_inner_texts()[:3]] == order
    shares = [row.split("\n")[-1] for row in tab.locator("#scale .label").all_inner_texts()]
    assert shares[0] == f"{100 * reading.probabilities.max():.0f} %"
    seen = set()
    for number, name in enumerate(order):
        tab.locator("#scale .label").nth(number).click()
        assert f"evidence for {name}" in tab.text_content("#legend-for")
        assert tab.locator("#scale [aria-pressed=true]").inner_text().startswith(name)
        seen.add(tab.evaluate("document.querySelector('.pane canvas').toDataURL()"))
    assert len(seen) == len(order)
    assert tab.text_content("#verdict") == f"{words}: refer"
    with tab.expect_download() as saved:
        tab.click("#save")
    with Image.open(saved.value.path()) as sheet:
        assert sheet.width == 1240


def test_costs_of_errors_and_a_matrix_decide_as_in_python(
    browser: Any, bundles: dict[str, Path], tmp_path: Path
) -> None:
    films = [stored(skin(seed), "PNG") for seed in range(40)]
    reader = Reader.open(bundles["costly"])
    readings = [reader.read(open_film(film)) for film in films]
    with served(bundles["page-costly"]) as address:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        told = read(tab, films)
        compare(bundles["costly"], told, films)
        assert [tuple(one["doubts"]) for one in told] == [one.doubts for one in readings]
        dear = next(n for n, one in enumerate(readings) if one.called == "mel" != next(iter(one.leading.values())))
        ready(tab, address)
        assert "patients not all known (folder)" in tab.text_content("#learned")
        put(tab, tmp_path, [films[dear]])
        likely = next(iter(readings[dear].leading.values()))
        assert f"mel has the least expected cost of an error, though {likely} is more" in tab.text_content("#scale")
        assert tab.locator("#scale [aria-pressed=true]").inner_text().startswith("mel")
        tab.close()
    assert {one.doubts for one in readings} >= {(), ("costs",)}


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_it_is_accessible_and_fits(tab: Any, size: dict[str, int], tmp_path: Path) -> None:
    tab.set_viewport_size(size)
    put(tab, tmp_path, pictures()[:3])
    assert axe(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not tab.is_visible("#camera")


def test_more_labels_than_are_named_at_once(browser: Any, bundles: dict[str, Path], tmp_path: Path) -> None:
    with served(bundles["page-fundus"]) as address:
        tab = browser.new_page(viewport=DESKTOP)
        ready(tab, address)
        put(tab, tmp_path, [stored(retina(1), "PNG")])
        assert tab.locator("#scale .label:visible").count() == 3
        tab.click("summary")
        assert tab.locator("#scale .label:visible").count() == 7
        tab.locator("#scale .label").nth(5).click()
        assert tab.locator("#scale .label:visible").count() == 7  # the chosen one stays in sight
        tab.close()


def test_a_colour_picture_given_to_the_reader_of_chest_films(browser: Any, pages: dict[str, Path]) -> None:
    with served(pages["int8"]) as address:
        tab = browser.new_page()
        tab.goto(f"{address}probe.html")
        films = [stored(skin(3, 300, 300), "PNG"), stored(skin(4, 300, 300), "JPEG", quality=90)]
        told = read(tab, films)
        tab.close()
    compare(DEFAULT.with_name("int8"), told, films)
    assert all("colour" in one["doubts"] and one["withheld"] for one in told)


def test_no_share_of_several_is_said_to_be_all(browser: Any, pages: dict[str, Path]) -> None:
    with served(pages["int8"]) as address:
        page = browser.new_page()
        page.goto(f"{address}probe.html")
        told = page.evaluate("""async () => {
          const { labelShare } = await import("./reading_view.js");
          return [0.004, 0.5, 0.989, 0.99, 1].map(labelShare);
        }""")
        page.close()
    assert told == ["< 1 %", "50 %", "99 %", "≥ 99 %", "≥ 99 %"]
