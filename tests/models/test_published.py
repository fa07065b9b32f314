"""Printed figures against exact counts: each is right or has an erratum."""

from __future__ import annotations

import re

import pytest

from lucency.models import BACKBONES
from lucency.models.flops import count_flops
from lucency.models.published import ERRATA, PUBLISHED, Published, of

# 2 kinds of rows: exact MAdds in millions as computed independently (facts of the project), by (backbone, width, side)
EXACT_M = {
    ("mobilenet_v1", 1.0): {224: 568.74, 192: 418.12, 160: 290.68, 128: 186.40},
    ("mobilenet_v1", 0.75): {224: 325.40, 192: 239.27, 160: 166.40, 128: 106.77},
    ("mobilenet_v1", 0.5): {224: 149.50, 192: 109.97, 160: 76.52, 128: 49.16},
    ("mobilenet_v1", 0.25): {224: 41.03, 192: 30.21, 160: 21.06, 128: 13.57},
    ("mobilenet_v2", 1.0): {224: 300.77, 192: 221.32, 160: 154.08, 128: 99.07, 96: 56.29},
    ("mobilenet_v2", 0.75): {224: 209.07},
    ("mobilenet_v2", 0.5): {224: 97.13},
    ("mobilenet_v2", 0.35): {224: 59.29},
    ("mobilenet_v2", 1.3): {224: 509.37},
    ("mobilenet_v2", 1.4): {224: 582.20},
}


def _name(row: Published) -> str:
    return f"{row.backbone} {row.width:g}-{row.side}"


@pytest.mark.long
@pytest.mark.parametrize("row", PUBLISHED, ids=_name)
def test_printed_figures_are_exact_or_errata(row: Published) -> None:
    counted = count_flops(row.backbone, row.width, row.side)
    off = abs(row.madds_m - counted.madds() / 1e6)
    assert (off > 1) == bool(row.erratum), f"printed {row.madds_m}, exact {counted.madds() / 1e6:.2f}"
    if row.parameters is not None:
        assert counted.parameters == row.parameters
    if row.parameters_m is not None:
        assert counted.trainable / 1e6 == pytest.approx(row.parameters_m, abs=0.05)


@pytest.mark.parametrize(
    ("backbone", "width", "side", "millions"),
    [(*key, side, millions) for key, sides in EXACT_M.items() for side, millions in sides.items()],
)
def test_exact_multiply_adds(backbone: str, width: float, side: int, millions: float) -> None:
    assert count_flops(backbone, width, side).madds() / 1e6 == pytest.approx(millions, abs=0.0051)


def test_all_checkpoints_and_backbones_are_listed() -> None:
    assert len(of("mobilenet_v1")) == 16
    assert all(of(name) for name in BACKBONES)
    for name, row in BACKBONES.items():
        assert (of(name)[0].width, of(name)[0].side) == (1.0, row.side)


def test_accuracy_rises_with_side() -> None:
    """Within a backbone, at one width, a larger side is never less accurate: finds swapped digits."""
    for upper in PUBLISHED:
        for lower in PUBLISHED:
            if (upper.backbone, upper.width) == (lower.backbone, lower.width) and upper.side > lower.side:
                assert upper.top1 > lower.top1


def test_errata_state_the_exact_figures() -> None:
    """The figures an erratum gives as exact are those we count."""
    (lite,) = (erratum for erratum in ERRATA if erratum.where.startswith("EfficientNet-Lite"))
    stated = [float(number) for number in re.findall(r"[\d.]+", lite.exact)]
    assert stated == [round(count_flops(f"efficientnet_lite{size}").madds() / 1e6, 1) for size in range(5)]
    (slim,) = (erratum for erratum in ERRATA if erratum.where.endswith("width 0.75"))
    stated = [float(number) for number in re.findall(r"[\d.]+", slim.exact)]
    assert stated == [round(count_flops("mobilenet_v1", 0.75, side).madds() / 1e6, 1) for side in (224, 192, 160, 128)]
