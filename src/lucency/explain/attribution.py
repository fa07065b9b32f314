"""Attribution: the difference between the film's logit and a blank film's, divided among the parts of the film.

The blank film is gray at the film's own mean. Every map is scaled so that its mean is the sum of the parts, which is
the unit of the class activation map.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lucency.arrays import Floats32 as Map
from lucency.arrays import Pixels
from lucency.explain.network import (
    Evidence,
    cell_index,
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
