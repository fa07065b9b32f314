"""From stored DICOM values to gray or colour.

Gray, PS3.4 N.2: modality transform, VOI transform, polarity, in that order, once each. Stored values have at most 16
bits. So the whole chain is worked out once for each value that can be stored, and a film is one look-up in that table,
however large it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from lucency.film.limits import NEAR_GRAY, refusal
from lucency.modality import MODALITIES

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scaled:
    """Values with the range that the transform behind them can put out, whatever this film happens to hold."""

    values: Values
    low: float
    high: float


def gray_table(dataset: Dataset, bits: int, signed: bool) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], str]:
    """Gray for each of the 2**bits codes that a pixel can hold, bright = dense, and what the VOI transform was.

    Returns:
        uint8 (2**bits,) for up to 8 bits, else uint16, over the full range of its type; "lut", "window", "none", or of
        a CT without either "default": the window of lucency.modality.
    """
    stored = stored_values(bits, signed)
    level, voi = voi_level(dataset, modality(dataset, stored))
    if is_inverted(dataset):
        level = 1.0 - level
    level[is_padding(dataset, stored)] = 0.0
    if bits <= 8:
        return np.floor(level * 255 + 0.5).astype(np.uint8), voi
    return np.floor(level * 65535 + 0.5).astype(np.uint16), voi


def stored_values(bits: int, signed: bool) -> Values:
    """The value of each code 0 … 2**bits - 1, two's complement where signed."""
    codes = np.arange(2**bits, dtype=np.float64)
    return np.where(codes >= 2 ** (bits - 1), codes - 2**bits, codes) if signed else codes


def modality(dataset: Dataset, stored: Values) -> Scaled:
    """Modality LUT, or `slope * stored + intercept`. PS3.3 C.11.1."""
    if _has_table(dataset, "ModalityLUTSequence"):
        return look_up(dataset, dataset.ModalityLUTSequence[0], stored)
    slope = number(dataset, "RescaleSlope")
    if slope == 0:
        raise refusal("a DICOM with RescaleSlope 0", "its header is wrong; export it again")
    values = stored * (1.0 if slope is None else slope) + (number(dataset, "RescaleIntercept") or 0.0)
    return Scaled(values, float(values.min()), float(values.max()))


def voi_level(dataset: Dataset, given: Scaled) -> tuple[Values, str]:
    """Level 0 … 1 of each value by the first VOI LUT, else the first window, else the whole range. PS3.3 C.11.2.

    A CT in Hounsfield units that states no window is seen by that of its row in MODALITIES.
    """
    if _has_table(dataset, "VOILUTSequence"):
        looked_up = look_up(dataset, dataset.VOILUTSequence[0], given.values)
        return span(looked_up), "lut"
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        # A width of zero is how some exporters write "no window".
        if is_ct(dataset) and has_rescale(dataset) and (row := MODALITIES["ct_slice"].window):
            return window(given.values, *row, "LINEAR"), "default"
        return span(given), "none"
    return window(given.values, center, width, function), "window"


def is_ct(dataset: Dataset) -> bool:
    """Whether a DICOM states that it is a CT."""
    return str(dataset.get("Modality") or "").strip().upper() == "CT"


def has_rescale(dataset: Dataset) -> bool:
    """Whether stored values are mapped to Hounsfield units. PS3.3 C.8.2.1."""
    stated = all(number(dataset, keyword) is not None for keyword in ("RescaleSlope", "RescaleIntercept"))
    return stated or _has_table(dataset, "ModalityLUTSequence")


def _has_table(dataset: Dataset, keyword: str) -> bool:
    """Whether a look-up table is stated; some exporters leave an empty item."""
    items = dataset.get(keyword)
    return bool(items) and "LUTDescriptor" in items[0] and "LUTData" in items[0]


def span(given: Scaled) -> Values:
    """Values over the range they can have, as 0 … 1."""
    return np.clip((given.values - given.low) / max(given.high - given.low, 1e-300), 0.0, 1.0)


def window(values: Values, center: float, width: float, function: str) -> Values:
    """Level 0 … 1 of each value in a window. PS3.3 C.11.2.1.2 and C.11.2.1.3.

        LINEAR        (x - (c - 0.5)) / (w - 1) + 0.5, clipped
        LINEAR_EXACT  (x - c) / w + 0.5, clipped
        SIGMOID       1 / (1 + exp(-4 (x - c) / w))

    Raises:
        FilmError: another function.
    """
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0)))
    if function != "LINEAR":
        raise refusal(f"a DICOM with VOILUTFunction {function}", "known are LINEAR, LINEAR_EXACT and SIGMOID")
    if width == 1.0:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def look_up(dataset: Dataset, item: Dataset, values: Values) -> Scaled:
    """A Modality or VOI LUT; values beyond its ends take its end entries. PS3.3 C.11.1.1 and C.11.2.1.1."""
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 65536
    table = lut_entries(dataset, item, entries)
    if len(table) < entries or not 8 <= bits <= 16:
        raise refusal(f"a DICOM with a look-up table of {len(table)} entries instead of {entries}, {bits} bits each")
    if first >= 32768 and values.min() < 0:
        first -= 65536  # signed, but written as unsigned
    index = np.clip(np.floor(values - first + 0.5), 0, entries - 1).astype(np.int64)
    top = float(2**bits - 1)
    return Scaled(np.minimum(table[index], top), 0.0, top)


def lut_entries(dataset: Dataset, item: Dataset, entries: int) -> Values:
    """The first `entries` values of a look-up table in `dataset`, in whichever way they are written."""
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] in (True, None) else ">"
        wide = len(data) >= 2 * entries
        return np.frombuffer(data[: entries * (1 + wide)], dtype=f"{order}u2" if wide else np.uint8).astype(np.float64)
    return np.atleast_1d(np.asarray(data, dtype=np.float64))[:entries]


def is_inverted(dataset: Dataset) -> bool:
    """Whether the lowest value is meant to be shown white. PS3.3 C.7.6.3.1.2 and C.11.6.

    MONOCHROME1 and the presentation shape INVERSE say the same thing, so both together invert once. MONOCHROME1 with
    IDENTITY contradicts itself (C.8.11.3 allows only INVERSE there): here MONOCHROME1 holds, for DCMTK the shape.
    """
    shape = str(dataset.get("PresentationLUTShape") or "").strip().upper()
    return str(dataset.PhotometricInterpretation).strip() == "MONOCHROME1" or shape == "INVERSE"


def is_padding(dataset: Dataset, stored: Values) -> NDArray[np.bool_]:
    """Which stored values stand for no X-ray at all; they are shown black. PS3.3 C.7.5.1.1.2."""
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = number(dataset, "PixelPaddingRangeLimit")
    # A signed padding of an unsigned film, or the reverse, is the same sixteen bits.
    shift = 65536.0 if value < 0 <= stored.min() else -65536.0 if stored.min() < 0 and value > stored.max() else 0.0
    low, high = sorted((value + shift, (value if limit is None else limit) + shift))
    return (stored >= low) & (stored <= high)


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an attribute, None where it is absent or empty.

    Raises:
        FilmError: it is not a finite number.
    """
    value = dataset.get(keyword)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if value else None
    if value is None or value == "":
        return None
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise refusal(f"a DICOM whose {keyword} is no number", "its header is wrong; export it again")
    return parsed


COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
"""Photometric interpretations of three samples a pixel."""
OF_JPEG_2000 = ("YBR_RCT", "YBR_ICT")
"""Colours of a JPEG 2000 stream alone, whose decoder gives red, green and blue (T.800, annex G)."""
PALETTE = "PALETTE COLOR"

RGB = NDArray[np.uint8]


def rgb_of(dataset: Dataset, stored: NDArray[Any], highest: int) -> RGB:
    """Red, green, blue (h, w, 3) as stored, or of luminance and chrominance of the full range.

    In libjpeg's 16-bit fixed point, so that a picture has the same bytes whether it is coded as JPEG or not.

    Args:
        dataset: the header.
        stored: uint8 or uint16 (h, w, 3).
        highest: bits below and with the highest that counts; of more than eight the upper eight are kept, as of a PNG.
    """
    eight: RGB = stored if stored.dtype == np.uint8 else ((stored >> (highest - 8)) & 0xFF).astype(np.uint8)
    if not str(dataset.PhotometricInterpretation).startswith("YBR_FULL"):
        return eight
    y, blue, red = np.moveaxis(eight.astype(np.int32), 2, 0) - np.array([0, 128, 128])[:, None, None]
    half = 1 << 15
    green = (half - 22554 * blue - 46802 * red) >> 16
    rgb = np.stack([y + ((91881 * red + half) >> 16), y + green, y + ((116130 * blue + half) >> 16)], axis=2)
    return rgb.clip(0, 255).astype(np.uint8)


def palette_rgb(dataset: Dataset, codes: NDArray[np.uint16], bits: int, signed: bool) -> RGB:
    """Red, green, blue (h, w, 3) of the entries that (h, w) codes of `bits` name; of 16-bit entries the upper eight.

    Raises:
        FilmError: a table is missing or too short, or stored in segments.
    """
    return np.stack([_entries(dataset, name, bits, signed)[codes] for name in ("Red", "Green", "Blue")], axis=2)


def _entries(dataset: Dataset, name: str, bits: int, signed: bool) -> RGB:
    keyword = f"{name}PaletteColorLookupTable"
    if not (dataset.get(f"{keyword}Descriptor") and dataset.get(f"{keyword}Data")):
        raise refusal("a DICOM whose palette is missing or stored in segments", "export it as RGB")
    item = Dataset()
    item.LUTDescriptor = list(dataset[f"{keyword}Descriptor"].value)
    item.add_new("LUTData", "OW", dataset[f"{keyword}Data"].value)
    shown = look_up(dataset, item, stored_values(bits, signed))
    return np.floor(shown.values * 256 / (shown.high + 1)).astype(np.uint8)


def colour_facts(dataset: Dataset, colour: RGB) -> dict[str, str]:
    """Whether a picture in colour has any, and a colour space that is not applied, as of PNG and JPEG."""
    apart = int((colour.max(axis=2) - colour.min(axis=2)).max(initial=0))
    facts = {"colour": "true"} if apart > NEAR_GRAY else {}
    profile = dataset.get("ICCProfile") or b"sRGB"
    return facts if b"sRGB" in profile.replace(b"\0", b"") else facts | {"profile": "not applied"}
