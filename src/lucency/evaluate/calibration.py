"""From a network's logits to logits whose probabilities mean what they say.

A calibration is a method and named lists of numbers, stored in a bundle's card, so that any port can apply it:

    none          z
    temperature   z / temperature                                                Guo et al. 2017
    platt         slope z + offset                                               Platt 1999
    beta          a ln p - b ln(1 - p) + c,  p = sigmoid(z)                      Kull, Silva Filho & Flach 2017
    isotonic      logit(y), y on the polyline through (logits, probabilities)    Zadrozny & Elkan 2002

Lists hold one number for all findings or one a finding. Temperature and Platt are affine and may be written into an
exported network. All rise with z, so a calibration of one finding never changes how films rank. No scipy here: this
is on the way of every reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lucency.errors import BundleError

Floats = NDArray[np.float64]
Method = Literal["none", "temperature", "platt", "beta", "isotonic"]
Parameters = Mapping[str, tuple[float, ...]]
Lists = Mapping[str, Floats]


class Calibrating(Protocol):
    """What `apply` needs: ours below, or the table of a card."""

    @property
    def method(self) -> str:
        """A row of APPLY."""

    @property
    def parameters(self) -> Parameters:
        """The lists that the method names."""


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration."""

    method: Method = "none"
    parameters: Parameters = field(default_factory=dict)
    fitted_on: str = ""
    """Which films, in words."""


NAMES: dict[str, tuple[str, ...]] = {
    "none": (),
    "temperature": ("temperature",),
    "platt": ("slope", "offset"),
    "beta": ("a", "b", "c"),
    "isotonic": ("logits", "probabilities"),
}
"""The lists that each method needs."""


def apply(calibration: Calibrating, logits: NDArray[np.floating]) -> Floats:
    """Calibrated logits, float64, shaped as `logits` (n, f).

    Raises:
        BundleError: the method is unknown, or a list is missing or of the wrong length.
    """
    check(calibration, logits.shape[-1])
    lists = {name: np.array(values, dtype=np.float64) for name, values in calibration.parameters.items()}
    return APPLY[calibration.method](np.asarray(logits, dtype=np.float64), lists)


def check(calibration: Calibrating, findings: int) -> None:
    """Refuse a calibration that cannot be applied to `findings` logits a film.

    Raises:
        BundleError: the method is unknown, or a list is missing or of the wrong length.
    """
    method, parameters = calibration.method, calibration.parameters
    if method not in NAMES:
        raise BundleError(f"calibration: expected a method among {', '.join(NAMES)}, found '{method}'; upgrade lucency")
    if missing := [name for name in NAMES[method] if not parameters.get(name)]:
        raise BundleError(f"calibration: {method} needs the numbers {', '.join(missing)}; calibrate again")
    if method == "isotonic":
        if findings != 1 or len(parameters["logits"]) != len(parameters["probabilities"]):
            raise BundleError("calibration: isotonic needs one finding and as many logits as probabilities")
    elif wrong := [name for name in NAMES[method] if len(parameters[name]) not in (1, findings)]:
        raise BundleError(f"calibration: expected 1 or {findings} numbers in {', '.join(wrong)}; calibrate again")


def probabilities(logits: NDArray[np.floating], task: str) -> Floats:
    """Sigmoid of each logit (n, f), or the softmax over them for a multiclass task; float64."""
    scores = np.asarray(logits, dtype=np.float64)
    if task == "multiclass":
        shares: Floats = np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))
        return shares
    return np.exp(-softplus(-scores))


def softplus(z: Floats) -> Floats:
    """ln(1 + exp z), without overflow."""
    return np.logaddexp(0.0, z)


def logit(p: Floats) -> Floats:
    """ln(p / (1 - p))."""
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


def _none(z: Floats, lists: Lists) -> Floats:
    return z


def _temperature(z: Floats, lists: Lists) -> Floats:
    return z / lists["temperature"]


def _platt(z: Floats, lists: Lists) -> Floats:
    return lists["slope"] * z + lists["offset"]


def _beta(z: Floats, lists: Lists) -> Floats:
    return -lists["a"] * softplus(-z) + lists["b"] * softplus(z) + lists["c"]


def _isotonic(z: Floats, lists: Lists) -> Floats:
    return logit(np.interp(z, lists["logits"], lists["probabilities"]))


APPLY: dict[str, Callable[[Floats, Lists], Floats]] = {
    "none": _none,
    "temperature": _temperature,
    "platt": _platt,
    "beta": _beta,
    "isotonic": _isotonic,
}
"""Method to how it is applied."""
