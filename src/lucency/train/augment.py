"""Random augmentation of a batch of films, on the device where the network trains.

Draw, then apply: the parameters of a batch are drawn once, and applying them twice gives the same films. Chest films
are never mirrored: it would move the heart. Each channel of a picture in colour is a plane of its own, and all three
are moved alike. Aspect ratio and sharpness are drawn because they reveal the class in the
ChestXRay2017 films (pneumonia films are wider and less sharp), and neither is disease.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lucency.models.layers import resample
from lucency.recipe import AugmentSettings

MID_GRAY = 127.5
"""The gray level that a change of contrast leaves unchanged."""
UNSHARP_SIGMA = 1.2
"""Standard deviation of the blur in unsharp masking, pixels."""
TRUNCATE = 4.0
"""Standard deviations at which a Gaussian is cut off, as in scipy."""


@dataclass(frozen=True)
class AugmentParams:
    """Parameters for b planes, one per gray film or three per colour film: float32 (b,) each."""

    aspect: Tensor
    """Factor on width over height."""
    zoom: Tensor
    """Share of the box that is kept along its longer side."""
    x: Tensor
    """Position of the kept part in the room left over: 0 is left, 1 is right."""
    y: Tensor
    """The same from top to bottom."""
    rotate: Tensor
    """Degrees, counter-clockwise."""
    sharpness: Tensor
    """Below 0: standard deviation of a blur, pixels; above 0: amount of unsharp masking."""
    gamma: Tensor
    contrast: Tensor
    brightness: Tensor
    """Gray levels."""
    noise: Tensor
    """Standard deviation, gray levels."""
    left_right: Tensor
    """1 where the film is mirrored left to right, else 0."""
    top_bottom: Tensor
    tint: Tensor
    """Factor on a channel of a picture in colour."""

    @classmethod
    def draw(cls, settings: AugmentSettings, count: int, rng: np.random.Generator, channels: int = 1) -> AugmentParams:
        """Draw for `count` films of so many channels."""

        def uniform(low: float, high: float) -> Tensor:
            return torch.from_numpy(rng.uniform(low, high, count).astype(np.float32)).repeat_interleave(channels)

        def mirrored(drawn: bool) -> Tensor:  # without a draw where there is none: chest films stay as they were
            return uniform(0, 1).round() if drawn else torch.zeros(count * channels)

        spread = rng.normal(0, settings.tint, count * channels) if settings.tint else np.zeros(count * channels)
        return cls(
            aspect=uniform(*np.log(settings.aspect)).exp(),
            zoom=uniform(*settings.zoom),
            x=uniform(0, 1),
            y=uniform(0, 1),
            rotate=uniform(-settings.rotate, settings.rotate),
            sharpness=uniform(*settings.sharpness),
            gamma=uniform(*np.log(settings.gamma)).exp(),
            contrast=uniform(*np.log(settings.contrast)).exp(),
            brightness=uniform(-settings.brightness, settings.brightness),
            noise=uniform(0, settings.noise),
            left_right=mirrored(settings.flip != "none"),
            top_bottom=mirrored(settings.flip == "both"),
            tint=torch.from_numpy(np.exp(spread).astype(np.float32)),
        )

    def to(self, device: torch.device) -> AugmentParams:
        """The same on another device."""
        return AugmentParams(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def augment(
    films: Tensor,
    params: AugmentParams,
    size: int,
    boxes: Tensor | None = None,
    generator: torch.Generator | None = None,
    surround: str = "black",
) -> Tensor:
    """Apply parameters to films.

    Args:
        films: uint8 (b, s, s), planes of films in colour one after another.
        params: of b films, on the same device.
        size: pixels along the square that the network sees.
        boxes: float32 (b, 4), left, top, right, bottom of the part that is cropped, as shares of the film; None is all.
        generator: draws the noise.
        surround: what a rotation shows beyond the edge, `black` or `mirrored`.

    Returns:
        float32 (b, size, size), whole gray levels from 0 to 255.
    """
    gray = _mirror(films.float(), params)
    gray = _sharpen(gray, params.sharpness)
    gray = _rotate(gray, params.rotate, "zeros" if surround == "black" else "reflection")
    gray = _crop(gray, crop_boxes(params, boxes), size)
    gray = _tone(gray, params)
    if bool((params.noise > 0).any()):
        grain = torch.randn(gray.shape, generator=generator, device=gray.device)
        gray = gray + params.noise[:, None, None] * grain
    return gray.round().clamp(0, 255)


def planes_of(inputs: Tensor) -> Tensor:
    """Films (b, s, s), in colour (b, s, s, 3) → (b, channels, s, s)."""
    return inputs.unsqueeze(1) if inputs.ndim == 3 else inputs.permute(0, 3, 1, 2)


def augment_pictures(
    inputs: Tensor, settings: AugmentSettings, size: int, rng: np.random.Generator, boxes: Tensor | None = None
) -> Tensor:
    """Draw and apply: uint8 (b, s, s), in colour (b, s, s, 3) → float32 (b, channels, size, size)."""
    films = planes_of(inputs)
    params = AugmentParams.draw(settings, len(films), rng, films.shape[1]).to(inputs.device)
    generator = torch.Generator(inputs.device).manual_seed(int(rng.integers(2**63)))
    planes = augment(films.flatten(0, 1), params, size, boxes, generator, settings.surround)
    return planes.reshape(*films.shape[:2], *planes.shape[1:])


def crop_boxes(params: AugmentParams, boxes: Tensor | None = None) -> Tensor:
    """float32 (b, 4): left, top, right, bottom of the kept part of each box, as shares of the film.

    A box that is narrower by the factor `aspect` and stretched to the square shows a film that is wider by it. A zoom
    beyond 1 shows more than the box, but no more than the film.
    """
    if boxes is None:
        boxes = params.zoom.new_tensor([[0.0, 0.0, 1.0, 1.0]])
    left, top, right, bottom = boxes.unbind(1)
    width = (right - left) * params.zoom * (1 / params.aspect).clamp(max=1)
    height = (bottom - top) * params.zoom * params.aspect.clamp(max=1)
    left = (left + (right - left - width) * params.x).clamp(min=0)
    top = (top + (bottom - top - height) * params.y).clamp(min=0)
    return torch.stack([left, top, (left + width).clamp(max=1), (top + height).clamp(max=1)], 1)


def _mirror(gray: Tensor, params: AugmentParams) -> Tensor:
    for flags, axis in ((params.left_right, 2), (params.top_bottom, 1)):
        if bool((flags != 0).any()):
            gray = torch.where(flags[:, None, None] != 0, gray.flip(axis), gray)
    return gray


def _sharpen(gray: Tensor, amount: Tensor) -> Tensor:
    """Blur where `amount`, (b,), is below 0; unsharp masking where it is above."""
    if not bool((amount != 0).any()):
        return gray
    sigma = torch.where(amount > 0, torch.full_like(amount, UNSHARP_SIGMA), -amount)
    distinct, place = torch.unique(sigma, return_inverse=True)  # planes of one picture are alike, and all unsharp masks
    kernels = gaussian_matrix(distinct, gray.shape[1])[place]
    soft = kernels @ gray @ kernels.transpose(1, 2)
    share = torch.where(amount > 0, amount, -torch.ones_like(amount))[:, None, None]
    return (gray + share * (gray - soft)).clamp(0, 255)


def gaussian_matrix(sigma: Tensor, size: int) -> Tensor:
    """Matrices that blur `size` lines, mirrored at the edges, by `sigma` (b,) pixels: float32 (b, size, size)."""
    lines = torch.arange(size, device=sigma.device, dtype=torch.float32)
    spread = sigma.clamp(min=1e-3)[:, None, None]

    def bell(distance: Tensor) -> Tensor:
        return torch.exp(-0.5 * (distance / spread) ** 2) * (distance.abs() <= (TRUNCATE * spread + 0.5).floor())

    to, source = lines[None, :, None], lines[None, None, :]
    weights = bell(to - source) + bell(to + source + 1) + bell(2 * size - 1 - to - source)
    return weights / weights.sum(dim=2, keepdim=True)


def _rotate(gray: Tensor, degrees: Tensor, padding: str) -> Tensor:
    """Rotate about the centre; `padding` as grid_sample names what lies outside the film."""
    if not bool((degrees != 0).any()):
        return gray
    angle = degrees * (pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = F.affine_grid(theta, [len(gray), 1, *gray.shape[1:]], align_corners=False)
    turned: Tensor = F.grid_sample(gray[:, None], grid, padding_mode=padding, align_corners=False)[:, 0]
    return turned


def _crop(gray: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The contents of each box, resized to `size` pixels with antialiasing, as `Preprocess` does."""
    centres = (torch.arange(size, dtype=torch.float32, device=gray.device) + 0.5) / size
    cropped: Tensor = resample(gray, boxes, centres)
    return cropped


def _tone(gray: Tensor, params: AugmentParams) -> Tensor:
    gamma, contrast, brightness = (getattr(params, name)[:, None, None] for name in ("gamma", "contrast", "brightness"))
    curved = 255 * (gray / 255) ** gamma if bool((gamma != 1).any()) else gray
    if bool((params.tint != 1).any()):
        curved = curved * params.tint[:, None, None]
    toned: Tensor = ((curved - MID_GRAY) * contrast + MID_GRAY + brightness).clamp(0, 255)
    return toned
