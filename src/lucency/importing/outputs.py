"""What a network's last values say of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lucency.bundle.card import Task
from lucency.data.labels import fold as folded
from lucency.data.labels import in_order
from lucency.errors import UsageError


@dataclass(frozen=True)
class Outputs:
    """What the logits mean."""

    task: Task
    labels: tuple[str, ...]
    fold: NDArray[np.float32]
    """(findings, units): from the network's own last values to ours."""
    says: str
    """How the outputs were read, in words."""


def read_outputs(last: str | None, units: int, classes: Sequence[str], flip: bool) -> Outputs:
    """What `units` values that end in the activation `last` say of the classes.

    Raises:
        UsageError: not as many classes as outputs, or outputs that say nothing.
    """
    one, labels = units == 1, tuple(classes)
    if last == "softmax" and one:
        raise UsageError("the network's one output is a softmax, which is 1 for every film; it cannot be used")
    if len(labels) != (2 if one else units):
        raise UsageError(f"--classes: the network has {units} output{'s' * (not one)}, {len(labels)} classes are named")
    if len(labels) > 2:
        task: Task = "multilabel" if last == "sigmoid" else "multiclass"
        return Outputs(task, labels, np.eye(units, dtype=np.float32), f"{units} outputs, {last or 'logits'}: {task}")
    fold = np.array([[1.0]] if one else [[0.0, 1.0]] if last == "sigmoid" else [[-1.0, 1.0]], np.float32)
    if flip:
        fold = -fold if one or last != "sigmoid" else np.array([[1.0, 0.0]], np.float32)
        labels = labels[::-1]
    kind = last or "logits, no activation"
    return Outputs("binary", labels, fold, f"{units} output{'s' * (not one)}, {kind}: the probability of {labels[1]}")


def flips(classes: Sequence[str], finding: str | None) -> bool:
    """Whether the first of two classes is the finding."""
    names = [folded(name) for name in classes]
    if len(set(names)) != len(names) or not all(names):
        raise UsageError(f"--classes: expected different names, received {', '.join(classes) or 'none'}")
    if finding is not None:
        if len(classes) != 2 or folded(finding) not in names:
            raise UsageError(f"--finding: expected one of two classes, {', '.join(classes)}; received '{finding}'")
        return names.index(folded(finding)) == 0
    return len(classes) == 2 and in_order(classes) != tuple(classes) and in_order(classes) == tuple(classes[::-1])
