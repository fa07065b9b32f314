"""Guided backpropagation, and its product with Grad-CAM. Shown because readers ask for them; see what they fail."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.errors import ExplainError
from lucency.explain.activation import grad_cam
from lucency.explain.layers import LAST
from lucency.explain.network import Evidence, Gray, Map, as_input, check_finding, finished, untouched
from lucency.models.classifier import Classifier
from lucency.models.heads import Dense128

WHITE = 255.0
"""Gradients are per gray level; times this they are per full range from black to white."""

GATES = (nn.Sigmoid, nn.Hardsigmoid)
"""They weigh whole channels and pass their gradient unguided, as everything does that is not a ReLU."""


class Clipped(nn.ReLU):
    """ReLU6 that captum knows for a ReLU. It looks for nn.ReLU alone and would pass nn.ReLU6 by without a word."""

    def forward(self, x: Tensor) -> Tensor:
        """Clip to 0..6."""
        return nn.functional.relu6(x)


def guided_backprop(classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False) -> Map:
    """The gradient on the film, letting only what is positive pass each ReLU. Springenberg et al. 2015.

    Returns:
        float32 (s, s): logits per pixel going from black to white.

    Raises:
        ExplainError: the network bends its signals by something other than ReLU or ReLU6.
    """
    from captum.attr import GuidedBackprop

    film = as_input(classifier, gray).requires_grad_()
    check_finding(classifier.head.last.out_features, finding)
    with untouched(classifier), _quiet():
        found = GuidedBackprop(Evidence(rectified(classifier), finding, opposite)).attribute(film)
    return finished(found[0, 0] * WHITE)


def guided_grad_cam(
    classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Guided backpropagation times Grad-CAM brought to the film's size. Selvaraju et al. 2017, section 3.2.

    Returns:
        float32 (s, s).

    Raises:
        ExplainError: as for guided_backprop and grad_cam.
    """
    fine = torch.from_numpy(guided_backprop(classifier, gray, finding, opposite=opposite))
    warm = torch.from_numpy(grad_cam(classifier, gray, finding, opposite=opposite, layer_name=layer_name))
    large = F.interpolate(warm[None, None], fine.shape, mode="bilinear", align_corners=False)[0, 0]
    return finished(fine * large / warm.numel())


def rectified(classifier: Classifier) -> Classifier:
    """A copy of the network in which every ReLU is a module that captum can guide.

    Raises:
        ExplainError: there is an activation that the method is not defined for.
    """
    network = copy.deepcopy(classifier)
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, Clipped())
            elif isinstance(child, nn.ReLU):
                setattr(parent, name, nn.ReLU())
            elif "activation" in type(child).__module__ and not isinstance(child, GATES):
                raise ExplainError(
                    f"guided backpropagation is defined for ReLU; the network has {type(child).__name__}; "
                    "choose another method, such as cam"
                )
    if isinstance(network.head, Dense128):
        head = network.head
        network.head = nn.Sequential(head.hidden, nn.ReLU(), head.drop, head.last)  # type: ignore[assignment]
    return network


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Captum warns that it sets hooks and will remove them; the contract tests check that it does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        yield
