"""Layers: channel rounding, the two paddings, the residual."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lucency.models.layers import Inverted, Padding, Unit, divisible, initialise


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
