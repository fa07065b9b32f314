"""The explainers, one row each. To add one: docs/adding-an-explainer.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lucency.arrays import Floats32
from lucency.explain.attribution import (
    cam,
    grad_cam,
    grad_cam_pp,
    guided_backprop,
    guided_grad_cam,
    integrated_gradients,
    layer_cam,
    lime,
    occlusion,
    shap,
)
from lucency.paint import LIMIT

RANDOMISED = "fails the randomisation test"
"""Its maps of a network with random weights resemble those of the trained one (Adebayo et al. 2018)."""


@dataclass(frozen=True)
class Explainer:
    """How a map is made, and how to read it."""

    explain: Callable[..., Floats32]
    """(classifier, gray uint8 (s, s), finding=0, *, opposite=False) → float32 (h, w); `layered`: also layer_name=."""
    summary: str
    """What the map shows, in one line."""
    paper: str
    unit: str = "logits"
    """Of the map's values; of `relative` ones only the order means something."""
    limit: float = LIMIT
    """Where the colour scale ends by default, in `unit`; the same for every film."""
    layered: bool = False
    """Whether any layer can be chosen."""
    mark: str = ""
    """A warning to show with every map of this method; `lucency faith` measures which methods need one."""


EXPLAINERS: dict[str, Explainer] = {
    "cam": Explainer(cam, "the logit spread over the film, for and against", "Zhou et al. 2016, arXiv:1512.04150"),
    "grad_cam": Explainer(
        grad_cam,
        "evidence for the verdict, from any layer",
        "Selvaraju et al. 2017, arXiv:1610.02391",
        layered=True,
    ),
    "grad_cam_pp": Explainer(
        grad_cam_pp,
        "Grad-CAM that does not let one large place outweigh several small ones",
        "Chattopadhay et al. 2018, arXiv:1710.11063",
        unit="relative",
        layered=True,
    ),
    "layer_cam": Explainer(
        layer_cam,
        "a finer Grad-CAM, from an earlier layer",
        "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943",
        layered=True,
    ),
    "guided_backprop": Explainer(
        guided_backprop,
        "which pixels the signal came through",
        "Springenberg et al. 2015, arXiv:1412.6806",
        unit="relative",
        mark=RANDOMISED,
    ),
    "guided_grad_cam": Explainer(
        guided_grad_cam,
        "guided backpropagation where Grad-CAM is positive",
        "Selvaraju et al. 2017, arXiv:1610.02391",
        unit="relative",
        layered=True,
        mark=RANDOMISED,
    ),
    "occlusion": Explainer(
        occlusion, "what the logit loses when a place is covered", "Zeiler & Fergus 2014, arXiv:1311.2901"
    ),
    "integrated_gradients": Explainer(
        integrated_gradients,
        "the gradient, integrated from a blank film to this one",
        "Sundararajan et al. 2017, arXiv:1703.01365",
    ),
    "lime": Explainer(lime, "a simple model of which squares matter", "Ribeiro et al. 2016, arXiv:1602.04938"),
    "shap": Explainer(shap, "each square's fair part of the logit", "Lundberg & Lee 2017, arXiv:1705.07874"),
}
