"""timm networks, with a stub of timm that has one small network."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from lucency.errors import UsageError, WeightsError
from lucency.models import backbone, blocks, build
from lucency.recipe import ModelSettings


class _Small(nn.Module):
    """Named as timm's EfficientNets are: a stem, stages of blocks, a last layer."""

    def __init__(self, flat: bool = False) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.act = nn.ReLU()
        stage = [nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)]
        self.blocks = nn.Sequential(nn.Sequential(*stage), nn.Sequential(nn.Conv2d(6, 6, 3, 4, 1)))
        self.conv_head = nn.Conv2d(6, 10, 1)
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv_head(self.blocks(self.act(self.conv_stem(x))))
        return found.mean((2, 3)) if self.flat else found


@dataclass(frozen=True)
class _Config:
    mean: tuple[float, float, float] = (0.1, 0.2, 0.3)
    std: tuple[float, float, float] = (0.4, 0.5, 0.6)
    input_size: tuple[int, int, int] = (3, 96, 96)


def _create_model(name: str, *, pretrained: bool, num_classes: int, global_pool: str) -> nn.Module:
    assert (num_classes, global_pool) == (0, "")
    if pretrained and name == "small.shy":
        raise RuntimeError("No pretrained weights exist for small.shy. Use `pretrained=False`.")
    torch.manual_seed(7 if pretrained else torch.initial_seed() % 1000)
    return _Small(flat=name == "flat")


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("timm")
    module.create_model = _create_model  # type: ignore[attr-defined]
    module.get_pretrained_cfg = lambda name: None if name == "nobody" else _Config()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", module)


def test_missing_timm_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="timm:resnet18: expected timm to be installed; pip install timm"):
        build(ModelSettings(backbone="timm:resnet18"))


@pytest.mark.usefixtures("timm")
def test_build_from_timm() -> None:
    classifier = build(ModelSettings(backbone="timm:small", head="linear"), findings=2).eval()
    film = torch.rand(1, 1, 64, 64) * 255
    logits, maps = classifier.forward_map(film)
    assert maps.shape == (1, 2, 2, 2)
    torch.testing.assert_close(maps.mean((2, 3)) + classifier.head.last.bias, logits)
    torch.testing.assert_close(
        classifier.normalise(film)[0, :, 0, 0],
        (film[0, 0, 0, 0] / 255 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.4, 0.5, 0.6]),
    )


@pytest.mark.usefixtures("timm")
def test_timm_stages_are_opened_into_blocks() -> None:
    found = blocks(build(ModelSettings(backbone="timm:small")))
    assert [part.out_channels for part in found] == [4, 4, 6, 6, 10]


@pytest.mark.usefixtures("timm")
def test_timm_weights_from_timm_or_a_file(tmp_path: Path) -> None:
    from_timm = build(ModelSettings(backbone="timm:small", weights="imagenet")).features.state_dict()
    torch.manual_seed(7)
    published = _Small().state_dict()
    assert all(torch.equal(from_timm[f"net.{name}"], value) for name, value in published.items())
    torch.save(published, tmp_path / "small.pth")
    from_file = build(ModelSettings(backbone="timm:small", weights=str(tmp_path / "small.pth"))).features.state_dict()
    assert all(torch.equal(from_file[name], value) for name, value in from_timm.items())


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (ModelSettings(backbone="timm:nobody"), UsageError, "timm:nobody: timm does not know it"),
        (ModelSettings(backbone="timm:small", width=0.5), UsageError, "expected width = 1.0, got 0.5"),
        (ModelSettings(backbone="timm:flat"), UsageError, r"expected maps \(n, k, h, w\) before the pool"),
        (ModelSettings(backbone="timm:small.shy", weights="imagenet"), WeightsError, "No pretrained weights exist"),
    ],
)
def test_invalid_timm_settings_raise(settings: ModelSettings, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(settings)


@pytest.mark.usefixtures("timm")
def test_the_row_has_timms_configuration() -> None:
    row = backbone("timm:small")
    assert (row.mean, row.std, row.side) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 96)
