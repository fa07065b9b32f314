"""Finer maps from the same weights: the coarse map is exactly a part of the fine one."""

from __future__ import annotations

import pytest
import torch

from lucency.errors import UsageError
from lucency.models import BACKBONES, build
from lucency.models.output_stride import Spread
from lucency.recipe import ModelSettings


def settled(name: str, stride: int) -> torch.nn.Module:
    """Random weights, the same for every stride."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        width = 0.35 if name.startswith("mobilenet") else 1.0
        return build(ModelSettings(backbone=name, width=width, stride=stride)).features.eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "efficientnet_lite0"])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_every_second_cell_equals_the_coarse_map(name: str, stride: int) -> None:
    """TensorFlow's padding looks right and down first, so there its cells are the odd ones (1, 3, … of each 2)."""
    film = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        coarse, fine = settled(name, 32)(film), settled(name, stride)(film)
    times = 32 // stride
    assert fine.shape[-2:] == (128 // stride, 128 // stride)
    first = 0 if name == "mobilenet_v2" else times - 1
    torch.testing.assert_close(fine[:, :, first::times, first::times], coarse, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_no_weight_changes(name: str) -> None:
    coarse, fine = settled(name, 32).state_dict(), settled(name, 16).state_dict()
    assert coarse.keys() == fine.keys()
    assert all(torch.equal(coarse[key], fine[key]) for key in coarse)


def test_foreign_backbones_raise() -> None:
    pytest.importorskip("timm", reason="needs timm, which is optional")
    with pytest.raises(UsageError, match="only lucency's own backbones"):
        build(ModelSettings(backbone="timm:resnet10t", stride=16))


def test_truncate_keeps_the_first_blocks() -> None:
    """MobileNetV1 after six blocks: stride 8, 256 channels; a cell sees 43 pixels of the film and no more."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = build(ModelSettings(backbone="mobilenet_v1", width=0.5)).eval()
        torch.manual_seed(0)
        short = build(ModelSettings(backbone="mobilenet_v1", width=0.5, depth=6)).eval()
    film = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        found = short.activations(film)
        torch.testing.assert_close(found, whole.features[:6](whole.normalise(film)))  # type: ignore[index]
        assert found.shape == (1, 128, 16, 16)
        changed = film.clone()
        changed[..., 0, 0] = 255 - changed[..., 0, 0]
        moved = (short.activations(changed) != found).any(1)[0]
    assert moved[0, 0]
    assert not moved[3:].any()
    assert not moved[:, 3:].any()


def test_an_invalid_depth_raises() -> None:
    with pytest.raises(UsageError, match="has 14 blocks, cannot keep 15"):
        build(ModelSettings(backbone="mobilenet_v1", depth=15))


def test_spread_by_hand() -> None:
    """Reach 1 on 4 × 1 cells: the first spreads over 2 (it is at the film's edge), the second over 3; so 4, 4, 1, 0.
    Then once more: 2 to each by the first, 4/3 by the second, 1/3 by the third.
    """
    evidence = torch.tensor([6.0, 3.0, 0.0, 0.0]).reshape(1, 1, 4, 1)
    found = Spread(3).eval()(evidence)
    assert found.ravel().tolist() == pytest.approx([2 + 4 / 3, 2 + 5 / 3, 5 / 3, 1 / 3])
    assert torch.equal(Spread(3).train()(evidence), evidence)
    assert Spread(5).eval()(evidence[:, :, :1]).item() == 6  # a map of one cell


def test_spread_evidence_of_a_ring_peaks_in_its_centre() -> None:
    rim = torch.zeros(1, 1, 7, 7)
    rim[..., 2:5, 2:5], rim[..., 3, 3] = 1, 0
    found = Spread(3).eval()(rim)
    assert found.argmax() == 3 * 7 + 3
    ninths = 8 + 4 * 5 + 4 * 3  # of the ring, in the fields of the centre, its four neighbours and the four corners
    assert found[0, 0, 3, 3] == pytest.approx(ninths / 81)


@pytest.mark.parametrize("head", ["linear", "dense128"])
def test_spread_does_not_change_the_logits(head: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        plain = build(ModelSettings(width=0.35, stride=8, head=head)).eval()  # type: ignore[arg-type]
        handed = build(ModelSettings(width=0.35, stride=8, spread=3, head=head)).eval()  # type: ignore[arg-type]
    handed.load_state_dict(dict(zip(handed.state_dict(), plain.state_dict().values(), strict=True)))
    film = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        (logit, sharp), (same, spread_out) = plain.forward_map(film), handed.forward_map(film)
    torch.testing.assert_close(same, logit)
    assert not torch.allclose(spread_out, sharp)


def test_spread_of_a_foreign_backbone_raises() -> None:
    pytest.importorskip("timm", reason="needs timm, which is optional")
    with pytest.raises(UsageError, match="spread: only lucency's own backbones"):
        build(ModelSettings(backbone="timm:resnet10t", spread=3))
