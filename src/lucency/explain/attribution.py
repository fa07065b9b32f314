"""Explainers of a network, by perturbation and by gradients.

By perturbation: the difference between the film's logit and a blank film's, divided among the parts of the film. The
blank film is gray at the film's own mean. By gradients: the network's own map, the Grad-CAM family, guided
backpropagation, from a layer's activations A (k, h, w) and their gradient G, with Z = h · w.

Every map but the guided ones has the unit of the class activation map: evidence over the film whose mean, at the last
layer, is the logit but for a constant.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.arrays import Floats32 as Map
from lucency.arrays import Pixels
from lucency.errors import ExplainError
from lucency.explain.network import (
    LAST,
    Evidence,
    cell_index,
    last_finer_layer,
    layer,
    preserve_state,
    sum_into_cells,
    to_input,
    to_map,
)
from lucency.explain.occlusion import BATCH, check_finding, occlude
from lucency.models.classifier import Classifier
from lucency.preprocess import as_input

WIDTH = 0.25
"""Of LIME's kernel."""


def occlusion(classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False) -> Map:
    """`lucency.explain.occlusion.occlude` on a network."""
    to_input(classifier, gray)
    device = next(classifier.parameters()).device

    def read(films: Pixels) -> Map:
        logits = classifier(torch.from_numpy(as_input(films)).permute(0, 3, 1, 2).to(device))
        return np.asarray(logits.cpu().numpy())

    with preserve_state(classifier), torch.no_grad():
        return occlude(read, gray, finding, opposite=opposite)


def integrated_gradients(
    classifier: Classifier, gray: Pixels, finding: int = 0, *, opposite: bool = False, steps: int = 32, cells: int = 28
) -> Map:
    """The gradient, integrated from the blank film to this one. Sundararajan et al. 2017, eq. 1.

        part(i, j) = (x - x0)(i, j) · ∫ dF/dx(i, j) at x0 + t (x - x0) dt,   sum of parts = F(x) - F(x0)

    Args:
        classifier: any.
        gray: uint8 (s, s).
        finding: which logit.
        opposite: explain the evidence against the finding.
        steps: points of the integral (Gauss-Legendre).
        cells: cells per side that pixels are summed into; single pixels are noisy.

    Returns:
        float32 (cells, cells).
    """
    from captum.attr import IntegratedGradients

    film, blank, evidence = _film_and_blank(classifier, gray, finding, opposite)
    with preserve_state(classifier):
        method = IntegratedGradients(evidence)
        found = method.attribute(film.requires_grad_(), blank, n_steps=steps, internal_batch_size=BATCH)
        return to_map(sum_into_cells(found[0].sum(0).detach(), cells))


def lime(
    classifier: Classifier,
    gray: Pixels,
    finding: int = 0,
    *,
    opposite: bool = False,
    samples: int = 256,
    cells: int = 7,
    seed: int = 0,
) -> Map:
    """A linear model of the logit over which cells of the film are blanked. Ribeiro et al. 2016, eq. 1.

    Ridge regression and kernel are those of the authors' code for images (lime 0.2, alpha 1, width 0.25).

    Returns:
        float32 (cells, cells).
    """
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    film, blank, evidence = _film_and_blank(classifier, gray, finding, opposite)
    with preserve_state(classifier), torch.no_grad():
        torch.manual_seed(seed)
        cell = cell_index(film.shape[-1], cells).to(film.device)
        found = Lime(evidence, SkLearnRidge(alpha=1.0), similarity_func=_nearness).attribute(
            film, blank, feature_mask=cell[None, None], n_samples=samples, perturbations_per_eval=BATCH
        )
        return to_map(_per_cell(found[0, 0], cell))


def shap(
    classifier: Classifier,
    gray: Pixels,
    finding: int = 0,
    *,
    opposite: bool = False,
    samples: int = 256,
    cells: int = 7,
    seed: int = 0,
) -> Map:
    """Shapley values of cells of the film. Lundberg & Lee 2017, Kernel SHAP.

    Returns:
        float32 (cells, cells); its mean is the film's logit minus the blank film's.
    """
    from captum.attr import KernelShap

    film, blank, evidence = _film_and_blank(classifier, gray, finding, opposite)
    with preserve_state(classifier), torch.no_grad():
        torch.manual_seed(seed)
        cell = cell_index(film.shape[-1], cells).to(film.device)
        if not cell.any():  # one cell has the whole difference; the kernel needs two
            return to_map((evidence(film) - evidence(blank))[None])
        found = KernelShap(evidence).attribute(
            film, blank, feature_mask=cell[None, None], n_samples=samples, perturbations_per_eval=BATCH
        )
        return to_map(_per_cell(found[0, 0], cell))


def _nearness(_film: Tensor, _changed: Tensor, kept: Tensor, **_: object) -> float:
    """Weight of a perturbed film: exp(-d² / width²)^½, where d is the cosine distance of its mask to the full one."""
    distance = 1.0 - float(kept.double().mean()) ** 0.5
    return float(np.exp(-((distance / WIDTH) ** 2)) ** 0.5)


def _film_and_blank(
    classifier: Classifier, gray: Pixels, finding: int, opposite: bool
) -> tuple[Tensor, Tensor, Evidence]:
    """The film, the blank film and their evidence, checked to be finite for the fits that follow."""
    film = to_input(classifier, gray)
    check_finding(classifier.head.findings, finding)
    blank, evidence = torch.full_like(film, float(gray.mean())), Evidence(classifier, finding, opposite)
    with preserve_state(classifier), torch.no_grad():
        to_map(evidence(torch.cat([film, blank])))
    return film, blank, evidence


def _per_cell(values: Tensor, cell: Tensor) -> Tensor:
    """One value for each cell, times the number of cells, so that the mean of the map is the sum of the values."""
    count = int(cell.max()) + 1
    first = torch.stack([values[cell == number][0] for number in range(count)])
    return first.reshape(round(count**0.5), -1) * count


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
        if classifier.reads_plainly:
            return to_map(compute(classifier, look.pixels).detach())
        views = [look.view(number) for number in range(classifier.views)]
        maps = [compute(classifier.without_crop(view.weights), view.pixels).detach()[None, None] for view in views]
        return to_map(classifier.mean_of_views(classifier.on_film(torch.cat(maps), look))[0, 0])


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
