"""Maps from a layer's activations and gradients: the network's own map, the Grad-CAM family, guided backpropagation.

All but the guided ones have the unit of the class activation map: evidence over the film whose mean, at the last layer,
is the logit but for a constant. A is (k, h, w), G its gradient, Z = h · w.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.arrays import Floats32 as Map
from lucency.arrays import Pixels
from lucency.errors import ExplainError
from lucency.explain.network import (
    LAST,
    Evidence,
    last_finer_layer,
    layer,
    preserve_state,
    to_input,
    to_map,
)
from lucency.explain.occlusion import check_finding
from lucency.models.classifier import Classifier

WHITE = 255.0
"""Gradients are per gray level; times this they are per full range from black to white."""
GATES = (nn.Sigmoid, nn.Hardsigmoid)
"""They weight whole channels; like everything but ReLU, they pass the gradient unguided."""


def cam(classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False) -> Map:
    """The network's own second output: signed, exact, and free. Zhou et al. 2016, eq. 2.

        M(i, j) = sum_k w_k A_k(i, j)

    Args:
        classifier: any.
        gray: uint8 (s, s).
        finding: which logit.
        opposite: explain the evidence against the finding.

    Returns:
        float32 (h, w), in logits; its mean and the head's constant add up to the logit.

    Raises:
        ExplainError: no such finding, or weights that are not finite. The same for all explainers here.
    """
    film = to_input(classifier, gray)
    with preserve_state(classifier), torch.no_grad():
        _, maps = classifier.forward_map(film)
        check_finding(maps.shape[1], finding)
        return to_map(-maps[0, finding] if opposite else maps[0, finding])


def grad_cam(
    classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Channels weighted by their mean gradient, at any layer. Selvaraju et al. 2017, eq. 1 and 2.

        L(i, j) = Z · ReLU(sum_k mean_ij(G_k) A_k(i, j))

    The factor Z, which the paper leaves out, turns mean gradients into logits: at the last layer this is ReLU(cam).
    """
    from captum.attr import LayerGradCam

    def compute(network: Classifier, pixels: Tensor) -> Tensor:
        method = LayerGradCam(Evidence(network, finding, opposite), layer(network, layer_name))
        found: Tensor = method.attribute(pixels, relu_attributions=True)[0, 0]
        return found * found.numel()

    return map_on_film(classifier, gray, finding, compute)


def grad_cam_pp(
    classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Grad-CAM++: each place counts by how much it alone moves the score. Chattopadhay et al. 2018, eq. 10 and 19.

        alpha_k(i, j) = G² / (2 G² + sum_ab A_k(a, b) G³),   w_k = sum_ij alpha_k ReLU(G_k)
        L(i, j) = ReLU(sum_k w_k A_k(i, j))

    alpha is a share, so the map has the sign and order of logits but not their size.
    """

    def compute(network: Classifier, pixels: Tensor) -> Tensor:
        activations, gradients = _activations_and_gradients(Evidence(network, finding, opposite), pixels, layer_name)
        squared, cubed = gradients**2, gradients**3
        below = 2 * squared + activations.sum((1, 2), keepdim=True) * cubed
        alpha = torch.where(below != 0, squared / torch.where(below != 0, below, 1.0), 0.0)
        weights = (alpha * gradients.relu()).sum((1, 2), keepdim=True)
        return (weights * activations).sum(0).relu()

    return map_on_film(classifier, gray, finding, compute)


def layer_cam(
    classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False, layer_name: str | None = None
) -> Map:
    """LayerCAM: every place weighted by its own gradient, also at earlier layers. Jiang et al. 2021, eq. 6 and 7.

        L(i, j) = Z · ReLU(sum_k ReLU(G_k(i, j)) A_k(i, j))

    Without a layer name, the last block whose maps are finer than the network's own is used.
    """
    name = layer_name or last_finer_layer(classifier, gray.shape[0])

    def compute(network: Classifier, pixels: Tensor) -> Tensor:
        activations, gradients = _activations_and_gradients(Evidence(network, finding, opposite), pixels, name)
        return (gradients.relu() * activations).sum(0).relu() * activations[0].numel()

    return map_on_film(classifier, gray, finding, compute)


def map_on_film(
    classifier: Classifier, gray: Pixels, finding: int, compute: Callable[[Classifier, Tensor], Tensor]
) -> Map:
    """`compute` a map on what the network sees (the film, or the crop around the lungs) and place it on the film."""
    film = to_input(classifier, gray)
    check_finding(classifier.head.findings, finding)
    with preserve_state(classifier):
        with torch.no_grad():
            look = classifier.crop_input(film)
        if classifier.crop is None:
            return to_map(compute(classifier, look.pixels).detach())
        views = [look.view(number) for number in range(classifier.views)]
        maps = [compute(classifier.without_crop(view.weights), view.pixels).detach()[None, None] for view in views]
        placed = [classifier.uncrop(one, view) for one, view in zip(maps, views, strict=True)]
        return to_map(torch.cat(placed).mean(0)[0])


def _activations_and_gradients(evidence: Evidence, pixels: Tensor, layer_name: str) -> tuple[Tensor, Tensor]:
    """A and G at a layer, each (k, h, w)."""
    kept: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.clone().requires_grad_())
        return kept[0].clone()  # what follows may work in place

    handle = layer(evidence.classifier, layer_name).register_forward_hook(keep)
    try:
        (gradient,) = torch.autograd.grad(evidence(pixels).sum(), kept[0])
    finally:
        handle.remove()
    return kept[0].detach()[0], gradient[0]


class ClippedReLU(nn.ReLU):
    """ReLU6 that captum recognises: it looks for nn.ReLU alone and would silently skip nn.ReLU6."""

    def forward(self, x: Tensor) -> Tensor:
        """Clip to 0..6."""
        return F.relu6(x)


def guided_backprop(classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False) -> Map:
    """The gradient on the film, letting only positive values pass each ReLU. Springenberg et al. 2015.

    Returns:
        float32 (s, s): logits per pixel going from black to white.

    Raises:
        ExplainError: the network has an activation other than ReLU or ReLU6.
    """
    from captum.attr import GuidedBackprop

    film = to_input(classifier, gray).requires_grad_()
    check_finding(classifier.head.findings, finding)
    with preserve_state(classifier), warnings.catch_warnings():
        # Captum removes its hooks afterwards; the contract tests check that.
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        found = GuidedBackprop(Evidence(with_relu_modules(classifier), finding, opposite)).attribute(film)
    return to_map(found[0].sum(0) * WHITE)


def guided_grad_cam(
    classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Guided backpropagation times Grad-CAM at the film's size. Selvaraju et al. 2017, section 3.2.

    Returns:
        float32 (s, s).
    """
    fine = torch.from_numpy(guided_backprop(classifier, gray, finding, opposite=opposite))
    coarse = torch.from_numpy(grad_cam(classifier, gray, finding, opposite=opposite, layer_name=layer_name))
    large = F.interpolate(coarse[None, None], fine.shape, mode="bilinear", align_corners=False)[0, 0]
    return to_map(fine * large / coarse.numel())


def with_relu_modules(classifier: Classifier) -> Classifier:
    """A copy of the network in which every ReLU is a module that captum can guide.

    Raises:
        ExplainError: there is an activation that the method is not defined for.
    """
    network = copy.deepcopy(classifier)
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, ClippedReLU())
            elif isinstance(child, nn.ReLU):
                setattr(parent, name, nn.ReLU())
            elif "activation" in type(child).__module__ and not isinstance(child, GATES):
                raise ExplainError(
                    f"guided backpropagation is defined for ReLU; the network has {type(child).__name__}; "
                    "choose another method, such as cam"
                )
    return network
