from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lucency.train.dataloader import Batch
from lucency.train.losses import (
    ForwardOutput,
    MeanLoss,
    Objective,
    SparsityLoss,
    cross_entropy,
    focal,
    weighted_mean,
)

LOGITS = torch.tensor([[0.0], [math.log(3)], [0.0], [math.log(3)]])
LABELS = torch.tensor([0, 1, 1, 0])
LOSSES = [math.log(2), math.log(4 / 3), math.log(2), math.log(4)]


def test_binary_by_hand() -> None:
    # logit 0 is probability 1/2: ln 2 either way; logit ln 3 is 3/4: -ln(3/4) for a positive
    found = cross_entropy(torch.tensor([[0.0], [math.log(3)]]), torch.tensor([0, 1]), "binary")
    assert found.tolist() == pytest.approx([math.log(2), math.log(4 / 3)])


def test_multiclass_by_hand() -> None:
    found = cross_entropy(torch.zeros(1, 4), torch.tensor([2]), "multiclass")
    assert found.tolist() == pytest.approx([math.log(4)])


def test_multilabel_is_the_mean_over_labels() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])
    found = cross_entropy(logits, torch.tensor([[1, 1]]), "multilabel")
    assert found.tolist() == pytest.approx([(math.log(2) + math.log(4 / 3)) / 2])


def test_a_finding_weighs_where_it_is_there() -> None:
    # logit 0 costs ln 2 either way: three times that for the first finding, which is there, once for the second
    objective = Objective("multilabel", torch.tensor([3.0, 9.0]))
    found = objective(torch.zeros(1, 2), torch.tensor([[1, 0]]))
    assert found.item() == pytest.approx((3 + 1) / 2 * math.log(2))


@given(st.floats(-8, 8), st.integers(0, 1))
def test_focal_with_gamma_zero_is_cross_entropy(logit: float, label: int) -> None:
    loss = cross_entropy(torch.tensor([[logit]]), torch.tensor([label]), "binary")
    assert focal(loss, 0.0).item() == pytest.approx(loss.item())


def test_focal_loss_equals_the_papers_example() -> None:
    # Lin et al. 2017, section 3.2: with gamma = 2 a film read at p = 0.9 counts 100 times less
    loss = torch.tensor([-math.log(0.9)])
    assert (loss / focal(loss, 2.0)).item() == pytest.approx(100, rel=1e-5)


def test_weights_by_hand() -> None:
    # losses 1 and 4, weights 3 and 1: (3·1 + 1·4) / 4
    assert weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0])).item() == 1.75


def test_balanced_weights_cancel_the_imbalance() -> None:
    labels = torch.tensor([0] + [1] * 9)
    logit = torch.zeros(10, 1, requires_grad=True)
    weights = torch.tensor([10 / 2, 10 / 18])
    weighted_mean(cross_entropy(logit, labels, "binary"), weights[labels]).backward()
    assert logit.grad is not None
    assert logit.grad.sum().item() == pytest.approx(0, abs=1e-7)


def test_smoothing_makes_the_best_logit_finite() -> None:
    best = torch.tensor([[math.log(0.95 / 0.05)]], requires_grad=True)
    cross_entropy(best, torch.tensor([1]), "binary", smoothing=0.05).sum().backward()
    assert best.grad is not None
    assert best.grad.item() == pytest.approx(0, abs=1e-6)


def test_class_weights_by_hand() -> None:
    objective = Objective("binary", torch.tensor([2.0, 1.0]))
    a, b, c, d = LOSSES
    assert objective(LOGITS, LABELS).item() == pytest.approx((2 * a + b + c + 2 * d) / 6)
    assert objective.total_weight(LABELS).item() == 6


def test_mean_loss_equals_the_objective() -> None:
    objective = Objective("binary", torch.tensor([2.0, 1.0]))
    assert MeanLoss(objective)(LOGITS, LABELS).item() == pytest.approx(objective(LOGITS, LABELS).item())


def test_sparsity_loss_by_hand() -> None:
    maps = torch.tensor([[[[1.0, -3.0]]]])
    batch = Batch(torch.zeros(1, 1, 8, 8), LABELS[:1])
    assert SparsityLoss(0.5)(ForwardOutput(batch, LOGITS[:1], maps, torch.zeros(1, 4))).item() == 1.0
