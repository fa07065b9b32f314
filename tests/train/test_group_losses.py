from __future__ import annotations

import math

import pytest
import torch

from lucency.train.dataloader import Batch
from lucency.train.losses import ForwardOutput, GroupDROLoss, MeanLoss, Objective, SparsityLoss

LOGITS = torch.tensor([[0.0], [math.log(3)], [0.0], [math.log(3)]])
LABELS = torch.tensor([0, 1, 1, 0])
LOSSES = [math.log(2), math.log(4 / 3), math.log(2), math.log(4)]
MISLED = torch.tensor([False, False, True, False])
NONE = torch.zeros(4, dtype=torch.bool)


def test_misled_weight_by_hand() -> None:
    found = Objective("binary", misled=3.0)(LOGITS, LABELS, MISLED)
    a, b, c, d = LOSSES
    assert found.item() == pytest.approx((a + b + 3 * c + d) / 6)


def test_class_and_misled_weights_are_multiplied() -> None:
    objective = Objective("binary", torch.tensor([2.0, 1.0]), misled=3.0)
    a, b, c, d = LOSSES
    assert objective(LOGITS, LABELS, MISLED).item() == pytest.approx((2 * a + b + 3 * c + 2 * d) / 8)
    assert objective.total_weight(LABELS, MISLED).item() == 8


def test_mean_loss_equals_the_objective() -> None:
    objective = Objective("binary", torch.tensor([2.0, 1.0]))
    assert MeanLoss(objective)(LOGITS, LABELS, NONE).item() == pytest.approx(objective(LOGITS, LABELS).item())


def test_group_dro_by_hand() -> None:
    """Groups: normal (films 0, 3), normal misled (none), positive (1), positive misled (2). One step of 0.5."""
    a, b, c, d = LOSSES
    means = [(a + d) / 2, 0.0, b, c]
    grown = [math.exp(0.5 * mean) / 4 for mean in means]
    wanted = sum(share / sum(grown) * mean for share, mean in zip(grown, means, strict=True))
    dro = GroupDROLoss(Objective("binary"), 2, 0.5)
    assert dro(LOGITS, LABELS, MISLED).item() == pytest.approx(wanted)
    assert dro.group_weights.tolist() == pytest.approx([share / sum(grown) for share in grown])


def test_group_dro_raises_the_weight_of_the_worst_group() -> None:
    dro = GroupDROLoss(Objective("binary"), 2, 0.5)
    for _ in range(20):
        dro(LOGITS, LABELS, MISLED)
    assert int(dro.group_weights.argmax()) == 0  # the normals, one of them called positive


def test_group_dro_has_a_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    GroupDROLoss(Objective("binary"), 2, 0.5)(logits, LABELS, MISLED).backward()
    assert logits.grad is not None
    assert bool((logits.grad != 0).all())


def test_sparsity_loss_by_hand() -> None:
    maps = torch.tensor([[[[1.0, -3.0]]]])
    batch = Batch(torch.zeros(1, 1, 8, 8), LABELS[:1], NONE[:1])
    assert SparsityLoss(0.5)(ForwardOutput(batch, LOGITS[:1], maps, torch.zeros(1, 4))).item() == 1.0
