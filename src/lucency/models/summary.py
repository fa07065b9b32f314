"""What `lucency models` tells, as plain dicts: all backbones, one of them closely, and what factoring saves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lucency.models import BACKBONES, published
from lucency.models import backbone as row_of
from lucency.models.counts import KINDS, Count, Top, count

CONVENTIONS = (
    "multiply-adds: one product and its sum; norms, activations, additions and pools are not counted. "
    "parameters: with the norms' running means and variances, as Keras prints; trainable: without. "
    "Shares by type: of kernel weights."
)


def overview(top: Top = "imagenet") -> list[dict[str, Any]]:
    """One dict per row of BACKBONES, at its own side and width 1."""
    return [_row(name, 1.0, backbone.side, top) for name, backbone in BACKBONES.items()]


def detail(name: str, width: float = 1.0, side: int | None = None, top: Top = "imagenet") -> dict[str, Any]:
    """One backbone: totals, shares by type, every layer, and its published relatives beside our exact counts.

    Raises:
        UsageError: unknown backbone.
    """
    side = side or row_of(name).side
    counted = count(name, width, side, top)
    return {
        **_row(name, width, side, top, counted),
        "each_layer": [{**asdict(layer), "madds": layer.madds} for layer in counted.layers],
        "published": [_beside_exact(row) for row in published.of(name)],
        "errata": [asdict(erratum) for erratum in published.ERRATA],
        "conventions": CONVENTIONS,
    }


def factoring(name: str, width: float = 1.0, side: int | None = None) -> dict[str, Any]:
    """What depthwise + pointwise saves against full convolutions, layer by layer, and beside other networks.

    Raises:
        UsageError: unknown backbone.
    """
    side = side or row_of(name).side
    counted = count(name, width, side)
    pairs = counted.factored()
    return {
        "name": name,
        "width": width,
        "side": side,
        "each_pair": [
            {
                **asdict(pair),
                "madds": pair.madds,
                "full_weights": pair.full_weights,
                "full_madds": pair.full_madds,
                "saving": pair.full_madds / pair.madds,
            }
            for pair in pairs
        ],
        "whole": {
            "weights": counted.weights(),
            "madds": counted.madds(),
            "full_weights": counted.weights() + sum(pair.full_weights - pair.weights for pair in pairs),
            "full_madds": counted.madds() + sum(pair.full_madds - pair.madds for pair in pairs),
        },
        "peers": [
            {
                **asdict(peer),
                "parameters_ratio": peer.parameters / counted.parameters,
                "madds_ratio": peer.madds_m * 1e6 / counted.madds(),
            }
            for peer in published.PEERS
        ],
        "conventions": CONVENTIONS,
    }


def _row(name: str, width: float, side: int, top: Top, counted: Count | None = None) -> dict[str, Any]:
    counted = counted or count(name, width, side, top)
    known = [row for row in published.of(name) if (row.width, row.side) == (width, side)]
    return {
        "name": name,
        "width": width,
        "side": side,
        "top": top,
        "layers": len(counted.layers),
        "parameters": counted.parameters,
        "trainable": counted.trainable,
        "weights": counted.weights(),
        "madds": counted.madds(),
        "by_type": {
            kind: {
                "layers": sum(layer.kind == kind for layer in counted.layers),
                "weights": counted.weights(kind),
                "madds": counted.madds(kind),
                "weights_share": counted.weights(kind) / counted.weights(),
                "madds_share": counted.madds(kind) / counted.madds(),
            }
            for kind in KINDS
        },
        "top1": known[0].top1 if known else None,
        "top5": known[0].top5 if known else None,
        "paper": row_of(name).paper,
    }


def _beside_exact(row: published.Published) -> dict[str, Any]:
    counted = count(row.backbone, row.width, row.side)
    return {**asdict(row), "exact_madds": counted.madds(), "exact_parameters": counted.parameters}
