"""The exported network: the same outputs, batch norms fused, the run's own unchanged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lucency.export.network import ExportNetwork
from lucency.models import build
from lucency.models.classifier import fuse_batchnorm
from lucency.models.ood_detector import Gaussian, OODDetector
from lucency.recipe import ModelSettings

from .small_runs import alive, card_of, few_units, squares


@pytest.mark.parametrize("head", ["linear", "dense128", "ordinal"])
def test_outputs_equal_the_classifiers(head: str) -> None:
    # In float64, where what is folded differs by rounding alone.
    classifier = alive(build(ModelSettings(width=0.35, head=head), 3), 64).double()  # type: ignore[arg-type]
    film = squares(1, 64)[0].astype(np.float64)
    with torch.no_grad():
        logits, maps = classifier.forward_map(torch.from_numpy(film)[None, None])
        found = ExportNetwork(classifier, card_of("multiclass", head, 64))(torch.from_numpy(film)[None, :, :, None])
    assert torch.allclose(found["logit"], logits, atol=1e-9)
    assert torch.allclose(found["map"].permute(0, 3, 1, 2), maps, atol=1e-9)
    assert found["probability"].sum().item() == pytest.approx(1)


def test_fusing_removes_every_norm_and_keeps_the_original() -> None:
    classifier = alive(build(ModelSettings(width=0.35), 1), 64)
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    twin = fuse_batchnorm(classifier)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in twin.modules())
    assert before.keys() == classifier.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())


def test_a_gate_adds_doubts() -> None:
    gate = OODDetector(Gaussian(64, 2), Gaussian(256, 1)).eval()
    network = ExportNetwork(alive(few_units("linear", 1), 16), card_of("binary", "linear", 16), gate)
    film = torch.from_numpy(squares(1, 16)[0].astype(np.float32))[None, :, :, None]
    assert network.outputs == ("logit", "probability", "map", "doubt")
    assert tuple(network(film)) == network.outputs
    # unit Gaussians around 0 say the mean square; a thumbnail has mean square 1 by its making
    assert network(film)["doubt"][0, 0].item() == pytest.approx(1, abs=1e-4)
