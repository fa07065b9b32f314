"""From stored DICOM values to red, green, blue of 8 bits: PS3.3 C.7.6.3.1.2 and C.7.9."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from lucency.film.gray import look_up, stored_values
from lucency.film.limits import NEAR_GRAY, refusal

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
