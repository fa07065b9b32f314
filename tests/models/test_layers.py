"""Layers: channel rounding, the two paddings, the residual."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lucency.errors import UsageError
from lucency.models import BACKBONES, build
from lucency.models.layers import Inverted, Padding, Spread, Unit, divisible, initialise
from lucency.recipe import ModelSettings


@given(st.floats(1, 4000))
@settings(deadline=None)
def test_divisible_is_a_multiple_of_8_and_loses_at_most_a_tenth(channels: float) -> None:
    rounded = divisible(channels)
    assert rounded % 8 == 0
    assert rounded >= max(8, 0.9 * channels)
    assert rounded <= max(8, channels + 8)


@pytest.mark.parametrize(("channels", "expected"), [(11.2, 16), (22.4, 24), (8.4, 8), (33.6, 32), (134.4, 136)])
def test_divisible_on_channels_of_published_widths(channels: float, expected: int) -> None:
    """MobileNetV2 at 0.35 and 1.4: 32·.35, 16·1.4, 24·.35, 24·1.4, 96·1.4 in Keras' summary."""
    assert divisible(channels) == expected


def _picks(padding: Padding, side: int, kernel: int) -> torch.Tensor:
    """A stride-2 unit that returns the pixel under the centre of its kernel."""
    unit = Unit(1, 1, kernel, 2, active=False, padding=padding).eval()
    with torch.no_grad():
        unit.conv.weight.zero_()
        unit.conv.weight[0, 0, kernel // 2, kernel // 2] = 1
        unit.norm.running_var.fill_(1 - unit.norm.eps)
        return unit(torch.arange(side * side, dtype=torch.float32).reshape(1, 1, side, side))[0, 0]


def test_position_of_the_first_window_by_padding() -> None:
    """On a 4×4 image with values 0..15 and kernel 3, centres fall on rows 0, 2 or, padded below and right, 1, 3."""
    torch.testing.assert_close(_picks("symmetric", 4, 3), torch.tensor([[0.0, 2.0], [8.0, 10.0]]))
    torch.testing.assert_close(_picks("same", 4, 3), torch.tensor([[5.0, 7.0], [13.0, 15.0]]))


@pytest.mark.parametrize("kernel", [3, 5])
def test_paddings_agree_on_odd_sides(kernel: int) -> None:
    torch.testing.assert_close(_picks("symmetric", 7, kernel), _picks("same", 7, kernel))


@given(st.integers(1, 40), st.sampled_from([3, 5]), st.sampled_from([1, 2]), st.sampled_from(["symmetric", "same"]))
@settings(deadline=None)
def test_a_unit_leaves_the_side_over_its_stride_rounded_up(
    side: int, kernel: int, stride: int, padding: Padding
) -> None:
    unit = Unit(2, 3, kernel, stride, padding=padding).eval()
    assert unit(torch.zeros(1, 2, side, side)).shape == (1, 3, -(-side // stride), -(-side // stride))


def test_inverted_adds_its_input_only_for_equal_shapes() -> None:
    film = torch.randn(1, 8, 6, 6)
    for outputs, stride, added in ((8, 1, True), (8, 2, False), (16, 1, False)):
        block = Inverted(8, outputs, 3, stride).eval()
        nn.init.zeros_(block.project.conv.weight)  # the branch now answers zero
        answer = block(film)
        torch.testing.assert_close(answer, film if added else torch.zeros_like(answer))


def test_initial_weights_keep_the_variance() -> None:
    """He et al. 2015: variance 2 / fan-out; a depthwise 3×3 has fan-out 9."""
    unit = Unit(4096, 4096, 3, depthwise=True)
    initialise(unit)
    assert unit.conv.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.03)


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
