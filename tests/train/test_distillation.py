from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lucency.data.dataset import Task
from lucency.train.dataloader import Batch
from lucency.train.losses import TEMPERATURE, DistillationLoss, ForwardOutput

BATCH = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool))


class Constant(nn.Module):
    """A network with the same logits for every film."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, films: Tensor) -> Tensor:
        return self.logits.expand(len(films), -1)


def cost(task: Task, student: Tensor, *teachers: nn.Module) -> Tensor:
    return DistillationLoss(teachers, task)(ForwardOutput(BATCH, student, torch.empty(0), torch.empty(0)))  # type: ignore[arg-type]


def test_no_gradient_where_student_and_teacher_agree() -> None:
    for task, logits in (("binary", (1.5,)), ("multiclass", (1.0, -2.0, 0.5)), ("multilabel", (1.0, -2.0))):
        student = torch.tensor(logits).expand(2, -1).clone().requires_grad_()
        cost(task, student, Constant(*logits)).backward()  # type: ignore[arg-type]
        assert student.grad is not None
        assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-6)


def test_distillation_targets_the_mean_probability() -> None:
    """Probabilities are averaged, not logits: teachers at 4 and -4 average to one half, those at 8 and 0 do not."""
    student = torch.zeros(2, 1, requires_grad=True)
    cost("binary", student, Constant(4.0), Constant(-4.0)).backward()
    assert student.grad is not None
    assert student.grad.abs().max().item() == pytest.approx(0, abs=1e-6)
    wanted = (torch.sigmoid(torch.tensor(8.0) / TEMPERATURE) + 0.5) / 2
    student.grad = None
    cost("binary", student, Constant(8.0), Constant(0.0)).backward()
    # d/dz of T² · BCE(z / T, p) is T · (sigmoid(z / T) - p), here at z = 0, over two films
    assert student.grad[0, 0].item() == pytest.approx(TEMPERATURE * (0.5 - wanted.item()) / 2)
