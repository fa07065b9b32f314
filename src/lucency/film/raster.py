"""PNG, JPEG and TIFF, decoded by Pillow."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from lucency.errors import FilmError
from lucency.film.codestream import check_jpeg, decode_jpeg, parse_jpeg
from lucency.film.limits import NEAR_GRAY, check_size, damaged, refusal
from lucency.native_output import held_stderr, quiet

Gray = NDArray[np.uint8] | NDArray[np.uint16]
Picture = tuple[Gray, dict[str, str], NDArray[np.uint8] | None]
"""Gray (h, w), what the file states, and colour (h, w, 3) where it has three channels."""

_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""What turns a film upright, by EXIF orientation (EXIF 2.32, 4.6.4 A, tag 274); 1 and anything else: nothing."""

_PACKED = (b"zTXt", b"iTXt", b"iCCP")
LONG_TEXT = 4096
END = b"\xff\xd9"
ADVICE = "save it as 8- or 16-bit gray or RGB"
REFUSED_MODES = {
    "1": "a black-and-white image of 1 bit a pixel",
    "P": "an image with a palette",
    "PA": "an image with a palette",
    "CMYK": "a CMYK image",
    "YCbCr": "a YCbCr image",
    "LAB": "a CIELAB image",
    "I": "32-bit or signed integer samples, whose range nobody states",
    "F": "floating-point samples, whose range nobody states",
}


def read_png(data: bytes) -> Picture:
    """Decode a PNG; see `open_film`."""
    if len(data) > 25 and data[24] < 8 and data[25] == 0:
        raise refusal(f"a PNG of {data[24]} bit a pixel")
    at = data.find(b"iCCP", 0, data.find(b"IDAT"))
    return _read(PngImageFile, _without_text(data), "PNG", data[at : at + 84] if at > 0 else b"")


def _without_text(data: bytes) -> bytes:
    """The PNG without texts and profiles, which Pillow would unpack, or refuse as too long."""
    kept, at = [data[:8]], 8
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if (kind := data[at + 4 : at + 8]) not in _PACKED and (kind != b"tEXt" or end - at < LONG_TEXT):
            kept.append(data[at:end])
        at = end
    return data if len(kept) < 2 or sum(map(len, kept)) == len(data) else b"".join(kept)


def read_jpeg(data: bytes) -> Picture:
    """Decode a JPEG; see `open_film`.

    Always at full size: libjpeg's reduced-size decoding ("draft") is faster but yields other pixels.
    """
    layout = parse_jpeg(data)
    check_jpeg(layout)
    return _read(JpegImageFile, data[: layout.ends] + END, "JPEG")


def read_tiff(data: bytes) -> Picture:
    """Decode a TIFF of one page; see `open_film`."""
    with held_stderr(replay=False):
        return _read(TiffImageFile, data, "TIFF")


def _read(reader: type[ImageFile], data: bytes, kind: str, profile: bytes = b"") -> Picture:
    try:
        with quiet, reader(io.BytesIO(data)) as image:
            _check_header(image, kind)
            pixels, facts, colour = _jpeg(image, data) if kind == "JPEG" else _gray(_loaded(image))
            turn = _UPRIGHT.get(orientation(image), np.asarray)
            if colour is not None:
                facts, colour = facts | _profile(image, profile), np.ascontiguousarray(turn(colour))
            return np.ascontiguousarray(turn(pixels)), facts, colour
    except FilmError:
        raise
    except Exception as error:  # Pillow raises nearly anything on a damaged file: OSError, SyntaxError, struct.error…
        raise damaged(kind, error) from error


def _jpeg(image: ImageFile, data: bytes) -> Picture:
    pixels, damage = decode_jpeg(data, parse_jpeg(data), "GRAY" if image.mode == "L" else "RGB")
    facts = {"damage": damage} if damage else {}
    if image.mode == "L":
        return pixels, {"bits": "8"} | facts, None
    picture = Image.fromarray(pixels)
    return gray_pixels(picture.convert("L")), {"bits": "8"} | _colour(picture) | facts, pixels


def _profile(image: ImageFile, named: bytes) -> dict[str, str]:
    """Whether a colour picture states another colour space than sRGB, which is not applied.

    Args:
        image: opened.
        named: of a PNG the start of its profile's chunk, where the profile's name stands.
    """
    profile = named or image.info.get("icc_profile") or b"sRGB"
    # Its description is in ASCII or UTF-16 (ICC.1, 10.15 and 10.23).
    return {} if b"sRGB" in profile.replace(b"\0", b"") else {"profile": "not applied"}


def _loaded(image: ImageFile) -> ImageFile:
    if isinstance(image, TiffImageFile) and image.tag_v2.get(259) == 7:
        _check_strips(image)
    image.load()
    return image


def _check_strips(image: TiffImageFile) -> None:
    """Decode every JPEG strip or tile of a TIFF strictly; Pillow and libtiff pass over what libjpeg warns of."""
    tags, stream = image.tag_v2, image.fp
    assert stream is not None  # it is open
    tables = bytes(tags.get(347, b"\xff\xd8\xff\xd9"))[:-2]
    for begins, length in zip(tags.get(273, tags.get(324)), tags.get(279, tags.get(325)), strict=True):
        stream.seek(begins)
        strip = tables + stream.read(length)[2:]
        layout = parse_jpeg(strip)
        check_jpeg(layout)
        decode_jpeg(strip, layout, "GRAY" if layout.components == 1 else "RGB")


def _check_header(image: ImageFile, kind: str) -> None:
    """Refuse, before anything is decoded, what is too large or no single gray or RGB picture."""
    check_size(image.height, image.width)
    if getattr(image, "is_animated", False):
        found = "an animated PNG" if kind == "PNG" else f"a {kind} of several pages"
        raise refusal(found, "keep the one that is the film")
    if image.mode in REFUSED_MODES:
        raise refusal(f"{REFUSED_MODES[image.mode]} ({kind})", ADVICE)
    if isinstance(image, TiffImageFile):
        bits = set(image.tag_v2.get(258, (1,)))
        if not bits <= {8, 16}:
            raise refusal(f"a TIFF of {'/'.join(map(str, sorted(bits)))} bits a sample", ADVICE)


def _gray(image: ImageFile) -> Picture:
    """The decoded picture, still as it lies in the file."""
    if image.mode.startswith("I;16"):
        if "transparency" in image.info:
            raise refusal("an image with transparent parts", "flatten it on black and save it without alpha")
        return _sixteen_bits(image), {"bits": "16"}, None
    picture = _opaque(image)
    if picture.mode == "L":
        return gray_pixels(picture), {"bits": "8"}, None
    if picture.mode not in ("RGB", "RGBX"):
        raise refusal(f"an image of mode {picture.mode}", ADVICE)
    rgb = picture.convert("RGB")
    return gray_pixels(rgb.convert("L")), {"bits": "8"} | _colour(rgb), np.asarray(rgb)


def _sixteen_bits(image: ImageFile) -> NDArray[np.uint16]:
    pixels = np.asarray(image).astype(np.uint16)
    white_is_zero = isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0
    # Pillow inverts 8-bit WhiteIsZero by itself, 16-bit it does not.
    return np.uint16(65535) - pixels if white_is_zero else pixels


def _opaque(image: Image.Image) -> Image.Image:
    """The picture without its alpha, which must be opaque everywhere: what lies below a hole nobody knows."""
    if image.mode in ("LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        full = image.convert("RGBA")
        if full.getchannel("A").getextrema() != (255, 255):
            raise refusal("an image with transparent parts", "flatten it on black and save it without alpha")
        return full.convert("RGB")
    return image


def _colour(picture: Image.Image) -> dict[str, str]:
    """Whether an RGB picture has colour in earnest: {"colour": "true"} or nothing."""
    red, green, blue = (picture.getchannel(name) for name in "RGB")
    apart = max(_furthest(red, green), _furthest(green, blue), _furthest(blue, red))
    return {"colour": "true"} if apart > NEAR_GRAY else {}


def _furthest(one: Image.Image, other: Image.Image) -> int:
    return int(ImageChops.difference(one, other).getextrema()[1])  # type: ignore[arg-type]


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 where none is stated; Pillow has already turned a TIFF and then states none."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block around a sound film
        return 1


class _ArrowArray(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)


def gray_pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """uint8 (h, w) of a picture of mode L; it shares the picture's memory, which lives as long as either."""
    try:
        _, capsule = picture.__arrow_c_array__()
    except (AttributeError, ValueError, NotImplementedError):  # before Pillow 11.2; or not in one piece
        return np.asarray(picture)
    array = _ArrowArray.from_address(_pointer(capsule, b"arrow_array"))
    size = picture.height * picture.width
    if (array.length, array.offset, array.n_buffers, array.n_children) != (size, 0, 2, 0):
        return np.asarray(picture)
    memory = (ctypes.c_ubyte * size).from_address(array.buffers[1])
    memory.owner = capsule  # type: ignore[attr-defined]  # keeps the picture's memory; ctypes objects take attributes
    pixels: NDArray[np.uint8] = np.ctypeslib.as_array(memory).reshape(picture.height, picture.width)
    pixels.flags.writeable = False
    return pixels
