"""Maps made of a layer's activations, each weighed by what the logit owes it.

All are scaled so that their unit is that of the class activation map: at the last layer, evidence spread over the
film whose mean is the logit but for a constant. A is (k, h, w), G its gradient, Z = h · w.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lucency.explain.layers import LAST, finer, layer
from lucency.explain.network import Evidence, Gray, Map, as_input, check_finding, finished, untouched
from lucency.models.classifier import Classifier


def cam(classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False) -> Map:
    """The network's own second answer: signed, exact, and free. Zhou et al. 2016, eq. 2.

        M(i, j) = sum_k w_k A_k(i, j)

    Args:
        classifier: any.
        gray: uint8 (s, s).
        finding: which logit.
        opposite: whether what speaks against the finding is asked for.

    Returns:
        float32 (h, w), in logits; its mean and the head's constant add up to the logit.

    Raises:
        ExplainError: no such finding, or weights that are not numbers. The same for all explainers here.
    """
    film = as_input(classifier, gray)
    with untouched(classifier), torch.no_grad():
        _, maps = classifier.forward_map(film)
        check_finding(maps.shape[1], finding)
        return finished(-maps[0, finding] if opposite else maps[0, finding])


def grad_cam(
    classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Grad-CAM at any layer: channels weighed by their mean gradient. Selvaraju et al. 2017, eq. 1 and 2.

        L(i, j) = Z · ReLU(sum_k mean_ij(G_k) A_k(i, j))

    The factor Z, which the paper leaves out, turns mean gradients into logits: at the last layer this is ReLU(cam).
    """
    from captum.attr import LayerGradCam

    film, evidence = _asked(classifier, gray, finding, opposite)
    with untouched(classifier):
        found = LayerGradCam(evidence, layer(classifier, layer_name)).attribute(film, relu_attributions=True)
        return on_film(classifier, film, found[0, 0] * found[0, 0].numel())


def grad_cam_pp(
    classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False, layer_name: str = LAST
) -> Map:
    """Grad-CAM++: each place counts by how much it alone moves the score. Chattopadhay et al. 2018, eq. 10 and 19.

        alpha_k(i, j) = G² / (2 G² + sum_ab A_k(a, b) G³),   w_k = sum_ij alpha_k ReLU(G_k)
        L(i, j) = ReLU(sum_k w_k A_k(i, j))

    alpha is a share, so the map has the sign and order of logits but not their size.
    """
    film, activations, gradients = _activations_and_gradients(classifier, gray, finding, opposite, layer_name)
    squared, cubed = gradients**2, gradients**3
    below = 2 * squared + activations.sum((1, 2), keepdim=True) * cubed
    alpha = torch.where(below != 0, squared / torch.where(below != 0, below, 1.0), 0.0)
    weights = (alpha * gradients.relu()).sum((1, 2), keepdim=True)
    return on_film(classifier, film, (weights * activations).sum(0).relu())


def layer_cam(
    classifier: Classifier, gray: Gray, finding: int = 0, *, opposite: bool = False, layer_name: str | None = None
) -> Map:
    """LayerCAM: every place weighed by its own gradient, so earlier layers serve too. Jiang et al. 2021, eq. 6 and 7.

        L(i, j) = Z · ReLU(sum_k ReLU(G_k(i, j)) A_k(i, j))

    Without a layer name, the last block whose maps are finer than the network's own.
    """
    name = layer_name or finer(classifier, gray.shape[0])
    film, activations, gradients = _activations_and_gradients(classifier, gray, finding, opposite, name)
    return on_film(classifier, film, (gradients.relu() * activations).sum(0).relu() * activations[0].numel())


def on_film(classifier: Classifier, film: Tensor, values: Tensor) -> Map:
    """A map (h, w) of what the network read, on the whole film: the same where it reads the whole film."""
    with untouched(classifier), torch.no_grad():
        return finished(classifier.on_film(values.detach()[None, None], classifier.box(film))[0, 0])


def _asked(classifier: Classifier, gray: Gray, finding: int, opposite: bool) -> tuple[Tensor, Evidence]:
    film = as_input(classifier, gray)
    check_finding(classifier.head.last.out_features, finding)
    return film, Evidence(classifier, finding, opposite)


def _activations_and_gradients(
    classifier: Classifier, gray: Gray, finding: int, opposite: bool, layer_name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The film as it enters, and A and G at a layer, each (k, h, w)."""
    film, evidence = _asked(classifier, gray, finding, opposite)
    kept: list[Tensor] = []

    def keep(_module: object, _inputs: object, output: Tensor) -> Tensor:
        kept.append(output.clone().requires_grad_())
        return kept[0].clone()  # what follows may work in place

    handle = layer(classifier, layer_name).register_forward_hook(keep)
    try:
        with untouched(classifier):
            (gradient,) = torch.autograd.grad(evidence(film).sum(), kept[0])
    finally:
        handle.remove()
    return film, kept[0].detach()[0], gradient[0]
