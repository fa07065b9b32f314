"""DICOM, read by pydicom: one frame, gray as its header prescribes for presentation, or in colour."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lucency.errors import FilmError
from lucency.film.codestream import (
    check_coded,
    check_jpeg,
    check_rle,
    codestream_of,
    decode_jpeg,
    decode_jpeg2000,
    parse_jpeg,
    with_colours,
)
from lucency.film.dicom_pixels import (
    COLOURS,
    OF_JPEG_2000,
    PALETTE,
    colour_facts,
    gray_table,
    has_rescale,
    is_ct,
    number,
    palette_rgb,
    rgb_of,
)
from lucency.film.film import Decoded, Film, kind_of
from lucency.film.limits import check_size, damaged, printable, refusal
from lucency.film.lossless_jpeg import decode_lossless
from lucency.native_output import quiet, quiet_dicom

FACTS = {
    "modality": "Modality",
    "view": "ViewPosition",
    "body_part": "BodyPartExamined",
    "laterality": "ImageLaterality",
    "orientation": "PatientOrientation",
    "patient": "PatientID",
    "sex": "PatientSex",
    "age": "PatientAge",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "sop_class": "SOPClassUID",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "photometric": "PhotometricInterpretation",
    "burned_in": "BurnedInAnnotation",
}
"""What is kept of the header, by the name that `Film.facts` gives it."""

_REQUIRED = ("Rows", "Columns", "BitsAllocated", "BitsStored")

LAYOUTS = {(1, "MONOCHROME1"), (1, "MONOCHROME2"), (1, PALETTE), *((3, colour) for colour in COLOURS)}
"""Samples per pixel and photometric interpretation that are read."""

_FOR_PROCESSING = {
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray",
}

_LOSSLESS_JPEG = (JPEGLossless, JPEGLosslessSV1)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)


@dataclass(frozen=True)
class Stored:
    """The pixels of a DICOM as they are stored."""

    codes: NDArray[np.uint16]
    """(h, w): the bits that count; of a picture in colour its luma."""
    bits: int
    signed: bool
    padding: NDArray[np.bool_] | None = None
    """(h, w): where the padding value lies outside the bits that count; None: nowhere."""
    facts: dict[str, str] = field(default_factory=dict)
    """What decoding noticed: `damage`."""
    colour: NDArray[np.uint8] | None = None
    """(h, w, 3), red, green, blue, of a picture stored in colour."""


@dataclass(frozen=True)
class DicomFilm:
    """A DICOM that was parsed and decoded once."""

    film: Film
    dataset: Dataset
    """The whole header, with the coded pixels."""
    stored: Stored


def open_dicom(data: bytes, name: str = "film", colour: bool = False) -> DicomFilm:
    """Open a gray DICOM film, or one stored in equal colours, with its header.

    Args:
        data: the content of a file.
        name: what messages call the film.
        colour: open pictures in colour, too.

    Raises:
        FilmError: see `open_film`; or it is another kind of file.
    """
    label = printable(name)
    try:
        if (kind := kind_of(data)) != "DICOM":
            raise refusal(kind if kind.startswith("a") else f"a {kind}", "read it with: lucency read")
        dataset, stored, (pixels, facts, rgb) = _decode(data)
        if facts.get("colour") and not colour:
            raise refusal("a DICOM in colour", "send the original gray film")
    except FilmError as error:
        raise error.prefixed(label) from None
    return DicomFilm(Film(pixels, name, {"format": "DICOM", **facts}, rgb), dataset, stored)


def read_dicom(data: bytes) -> Decoded:
    """Decode a DICOM film; see `open_film`."""
    return _decode(data)[2]


def _decode(data: bytes) -> tuple[Dataset, Stored, Decoded]:
    try:
        with quiet, quiet_dicom:
            _refuse_deflated(data)
            dataset = dcmread(io.BytesIO(data), force=True)
            _check_header(dataset)
            stored = stored_codes(dataset)
            facts = _facts(dataset) | stored.facts
            if stored.colour is not None:
                facts |= {"bits": "8", "voi": "none"} | colour_facts(dataset, stored.colour)
                return dataset, stored, (stored.codes.astype(np.uint8), facts, stored.colour)
            table, voi = gray_table(dataset, stored.bits, stored.signed)
            facts |= {"rescale": "missing"} if is_ct(dataset) and not has_rescale(dataset) else {}
            pixels = table[stored.codes]
            if stored.padding is not None:
                pixels[stored.padding] = 0
            return dataset, stored, (pixels, facts | {"bits": str(stored.bits), "voi": voi}, None)
    except FilmError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly anything on a damaged file
        raise damaged("DICOM", error) from error


def _refuse_deflated(data: bytes) -> None:
    """Such a data set is inflated whole and without limit when it is parsed, so its file header is parsed before."""
    stream = io.BytesIO(data)
    read_preamble(stream, force=True)
    if DeflatedExplicitVRLittleEndian in str(_read_file_meta_info(stream).get("TransferSyntaxUID", "")):
        raise refusal("a deflated DICOM", "store it with another transfer syntax (dcmconv +te)")


def _check_header(dataset: Dataset) -> None:
    """Refuse, before anything is decoded, what is no single frame for presentation, gray or in colour."""
    if "PixelData" not in dataset:
        kind = UID(str(dataset.get("SOPClassUID") or "")).name or "unknown kind"
        raise refusal(f"a DICOM object without integer pixels ({kind})", "choose the object that holds the film")
    intent = str(dataset.get("PresentationIntentType") or "").strip().upper()
    if intent == "FOR PROCESSING" or dataset.get("SOPClassUID") in _FOR_PROCESSING:
        raise refusal("a raw detector image (FOR PROCESSING)", "send its FOR PRESENTATION twin")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise refusal(f"a DICOM of {frames} frames", "send the film as an object of its own")
    photometric = str(dataset.get("PhotometricInterpretation") or "nothing").strip()
    for keyword, usual in (("SamplesPerPixel", 3 if photometric in COLOURS else 1), ("PixelRepresentation", 0)):
        if dataset.get(keyword) is None:
            setattr(dataset, keyword, usual)
    if (dataset.SamplesPerPixel, photometric) not in LAYOUTS:
        raise refusal(f"a DICOM in other colours or without stated gray ({photometric})", "export it as gray or RGB")
    if photometric in COLOURS:
        dataset.PlanarConfiguration = dataset.get("PlanarConfiguration") or 0
        if dataset.PixelRepresentation or (dataset.get("BitsAllocated") == 16 and (dataset.get("BitsStored") or 8) < 8):
            raise refusal(
                f"a DICOM in colour ({photometric}) of signed values or few bits", "export it with 8 bits a channel"
            )
    missing = [keyword for keyword in _REQUIRED if dataset.get(keyword) is None]
    if missing:
        raise refusal(f"a DICOM without {' and '.join(missing)}", "its header is incomplete; export it again")
    check_size(int(dataset.Rows), int(dataset.Columns))


def stored_codes(dataset: Dataset) -> Stored:
    """Decode the pixels.

    Raises:
        FilmError: a layout or compression that is not read.
    """
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", bits - 1))
    if allocated not in (8, 16) or not 1 < bits <= allocated or not bits - 1 <= high < allocated:
        raise refusal(f"a DICOM of {bits} bits stored in {allocated}", "export it with 8 or 16 bits allocated")
    syntax = _transfer_syntax(dataset)
    if not is_decodable(syntax):
        raise refusal(f"a DICOM compressed as {syntax.name}", "decompress it first (dcmdjpeg, or gdcmconv --raw)")
    raw, facts = _raw(dataset, syntax)
    size = int(dataset.Rows), int(dataset.Columns)
    if raw.shape[:2] != size:
        raise refusal(f"a DICOM whose pixels {raw.shape} are not those of its header {size}", "export it again")
    if raw.ndim == 3:
        return _in_colour(raw, facts)
    # Overlays and rubbish may lie in the bits that do not count. Compressed values always start at bit 0.
    below = 0 if syntax.is_compressed else high + 1 - bits
    values: NDArray[np.uint16] = raw.astype(np.uint16)
    padding = _padding_outside(dataset, values, bits) if allocated == 16 and not below else None
    signed = bool(dataset.PixelRepresentation)
    codes = (values >> np.uint16(below)) & np.uint16(2**bits - 1)
    if dataset.PhotometricInterpretation == PALETTE:
        return _in_colour(palette_rgb(dataset, codes, bits, signed), facts)
    if not below and bits < allocated and _overflows(dataset, values, codes, bits, signed, padding):
        facts = {"damage": "overflow"} | facts
    return Stored(codes, bits, signed, padding, facts)


def _in_colour(rgb: NDArray[np.uint8], facts: dict[str, str]) -> Stored:
    luma = np.asarray(Image.fromarray(rgb).convert("L"), np.uint16)
    return Stored(luma, 8, False, facts=facts, colour=rgb)


def _raw(dataset: Dataset, syntax: UID) -> tuple[NDArray[Any], dict[str, str]]:
    """The decoded values (h, w), or red, green, blue (h, w, 3) of a picture in colour, and signs of damage."""
    colour = dataset.SamplesPerPixel == 3
    if dataset.PhotometricInterpretation in OF_JPEG_2000 and syntax not in _JPEG_2000:
        found = f"a DICOM whose colours ({dataset.PhotometricInterpretation}) are those of a JPEG 2000, which it is not"
        raise refusal(found, "its header is wrong; export it again as RGB")
    if not syntax.is_compressed:
        return _rgb(dataset) if colour else _plain(dataset), {}
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax in _LOSSY_JPEG:
        return _lossy_jpeg(dataset, frame)
    if colour and syntax not in (RLELossless, *_JPEG_2000, *_JPEG_LS):
        found = f"a DICOM in colour compressed as {syntax.name}"
        raise refusal(found, "decompress it first (dcmdjpeg, or gdcmconv --raw)")
    if syntax == RLELossless:
        check_rle(frame, int(dataset.Rows) * int(dataset.Columns))
        return _rgb(dataset) if colour else _plain(dataset), {}
    check_coded(frame, (int(dataset.Rows), int(dataset.Columns)), dataset.SamplesPerPixel)
    if colour:
        return _rgb(dataset), {}
    if syntax in _JPEG_2000 and not dataset.PixelRepresentation and (read := decode_jpeg2000(codestream_of(frame))):
        return read[0], {"damage": read[1]} if read[1] else {}
    return decode_lossless(frame) if syntax in _LOSSLESS_JPEG else _plain(dataset), {}


def is_decodable(syntax: UID) -> bool:
    """Whether films of this transfer syntax are read."""
    try:
        if syntax in (*_LOSSLESS_JPEG, *_LOSSY_JPEG) or not syntax.is_compressed:
            return not syntax.is_deflated
        return bool(get_decoder(syntax).is_available)
    except (NotImplementedError, ValueError):  # no syntax that pydicom knows
        return False


def _plain(dataset: Dataset) -> NDArray[Any]:
    return np.asarray(pixel_array(dataset, raw=True, correct_unused_bits=False))


def _rgb(dataset: Dataset) -> NDArray[np.uint8]:
    compressed = UID(dataset.file_meta.TransferSyntaxUID).is_compressed  # whose values start at bit 0
    bits = int(dataset.BitsStored)
    return rgb_of(dataset, _plain(dataset), bits if compressed else int(dataset.get("HighBit", bits - 1)) + 1)


def _lossy_jpeg(dataset: Dataset, frame: bytes) -> tuple[NDArray[np.uint8], dict[str, str]]:
    if dataset.SamplesPerPixel == 3:
        frame = with_colours(frame, is_rgb=dataset.PhotometricInterpretation == "RGB")
    layout = parse_jpeg(frame)
    check_jpeg(layout)
    if int(dataset.BitsStored) != 8:
        raise refusal(f"a DICOM of {dataset.BitsStored} bits whose JPEG has 8", "its header is wrong; export it again")
    if layout.components != dataset.SamplesPerPixel:
        raise refusal(f"a compressed frame of {layout.components} colours", "send the original gray film")
    pixels, damage = decode_jpeg(frame, layout, "GRAY" if layout.components == 1 else "RGB")
    return pixels, {"damage": damage} if damage else {}


def _padding_outside(dataset: Dataset, values: NDArray[np.uint16], bits: int) -> NDArray[np.bool_] | None:
    """Where the padding value lies, if it needs more bits than count: signed padding of an unsigned film."""
    value = number(dataset, "PixelPaddingValue")
    if value is None or dataset.PixelRepresentation or 0 <= value < 2**bits:
        return None
    found = values == np.uint16(int(value) & 0xFFFF)
    return found if found.any() else None


def _overflows(
    dataset: Dataset,
    values: NDArray[np.uint16],
    codes: NDArray[np.uint16],
    bits: int,
    signed: bool,
    padding: NDArray[np.bool_] | None,
) -> bool:
    """Whether values need more bits than the header states, so that their highest would be cut off."""
    spare = values >> np.uint16(bits)
    for group in range(0x6000, 0x6020, 2):  # an overlay that lies in a bit of its own
        position = int(dataset.get((group, 0x0102), None).value or 0) if (group, 0x0102) in dataset else 0
        if position >= bits:
            spare &= np.uint16(0xFFFF ^ (1 << (position - bits)))
    if signed:  # the sign goes on in them
        spare = np.where(codes >> np.uint16(bits - 1), spare ^ np.uint16(0xFFFF >> bits), spare)
    if padding is not None:
        spare = np.where(padding, spare[~padding].min(initial=0xFFFF), spare)
    return bool(spare.min() != spare.max())


def _transfer_syntax(dataset: Dataset) -> UID:
    """The one stated, or for a bare data set without file header the one pydicom recognised, which is then stated."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return UID(dataset.file_meta.TransferSyntaxUID)


def _facts(dataset: Dataset) -> dict[str, str]:
    facts = {name: _text(dataset.get(keyword)) for name, keyword in FACTS.items()}
    # Digital radiographs state both in codes instead.
    facts["view"] = facts["view"] or _meaning(dataset, "ViewCodeSequence")
    facts["body_part"] = facts["body_part"] or _meaning(dataset, "AnatomicRegionSequence")
    return {name: value for name, value in facts.items() if value}


def _meaning(dataset: Dataset, keyword: str) -> str:
    """The words of the first code in a sequence of codes."""
    codes = dataset.get(keyword)
    return _text(codes[0].get("CodeMeaning")) if codes else ""


def _text(value: object) -> str:
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str):
        return value.strip()
    return "\\".join(str(part) for part in value) if hasattr(value, "__iter__") else str(value).strip()
