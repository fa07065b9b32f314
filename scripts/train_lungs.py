"""Train the network of `lucency.lungs` on drawn films and write its weights.

    python scripts/train_lungs.py --out src/lucency/models/lungs.npz

Every film is drawn with its lungs, then bent, exposed and cut as real films are, more widely than they are: a
network that has never seen a real film must find the drawn ones easy.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from lucency.data.phantom import draw
from lucency.files import write_bytes
from lucency.lungs import SIDE, dice, network, standardised
from lucency.models.lung_crop import LungSegmenter
from lucency.progress import track

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class UNet(LungSegmenter):
    """The lung finder with norms, for training."""

    def __init__(self) -> None:
        super().__init__(_unit)

    def folded(self) -> dict[str, NDArray[np.float16]]:
        """The weights with each norm multiplied into its convolution, as lucency.lungs reads them."""
        found: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            if isinstance(part, nn.Conv2d):
                found |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}  # type: ignore[dict-item]
                continue
            conv, norm = part[0], part[1]  # type: ignore[index]
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            found[f"{name}.weight"] = conv.weight * gain[:, None, None, None]
            found[f"{name}.bias"] = norm.bias - norm.running_mean * gain
        return {name: value.detach().numpy().astype(np.float16) for name, value in found.items()}


def _unit(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def seen(film: Gray, lungs: Mask, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A film as another machine might have shown it: (96, 96) standardised, and its lungs (48, 48) in 0..1."""
    window = _window(film.shape, rng)
    gray = _cut(film.astype(np.float32), window, SIDE, rng.uniform(0, 60))
    mask = _cut(lungs.astype(np.float32), window, SIDE // 2, 0.0)
    gray = 255 * (np.clip(gray, 0, 255) / 255) ** np.exp(rng.uniform(-0.7, 0.7))
    gray += rng.uniform(-40, 40) * np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None]
    gray += rng.uniform(-25, 25) * np.linspace(-1, 1, SIDE, dtype=np.float32)[None, :]
    gray = ndimage.gaussian_filter(gray, rng.uniform(0, 1.2)) + rng.normal(0, rng.uniform(0, 8), gray.shape)
    for _ in range(int(rng.integers(0, 4))):  # letters, wires, shields
        top, left = rng.integers(0, SIDE, 2)
        height, width = rng.integers(2, 22, 2) if rng.uniform() < 0.5 else (int(rng.integers(1, 60)), 2)
        gray[top : top + height, left : left + width] = rng.uniform(0, 255)
    return standardised(np.clip(gray, 0, 255).astype(np.float32)), mask


def _window(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of what is shown, in pixels: wider or narrower than the film, off its middle, bent."""
    height, width = shape
    zoom, aspect = np.exp(rng.uniform(-0.2, 0.45)), np.exp(rng.uniform(-0.3, 0.3))
    wide, high = width * zoom * aspect, height * zoom / aspect
    x, y = width / 2 + rng.normal(0, 0.05) * width, height / 2 + rng.normal(0, 0.08) * height
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _cut(
    values: NDArray[np.float32], window: tuple[float, float, float, float], side: int, beyond: float
) -> NDArray[np.float32]:
    """The window of an image, `side` pixels square; beyond the film it is of one gray."""
    left, top, right, bottom = window
    image = Image.fromarray(values - np.float32(beyond))
    across, down = (right - left) / side, (bottom - top) / side
    small = image.transform((2 * side, 2 * side), Image.Transform.AFFINE, (across / 2, 0, left, 0, down / 2, top), 2)
    return np.asarray(small.reduce(2), dtype=np.float32) + np.float32(beyond)


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, plus one minus the soft Dice overlap of each film."""
    share = logits.sigmoid()
    overlap = (2 * (share * target).sum((1, 2, 3)) + 1) / ((share + target).sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean()


def main() -> None:
    """Draw, train, judge on drawn films of other patients, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=24)
    settings = parser.parse_args()
    torch.manual_seed(0)
    films = [draw((100, i), i % 2 == 1, side=144) for i in track(range(settings.films), "drawing", settings.films)]
    unet = UNet()
    optimiser = torch.optim.AdamW(unet.parameters(), 4e-3, weight_decay=1e-3)
    steps = settings.films // 25
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=settings.epochs * steps)
    for epoch in track(range(settings.epochs), "epochs", settings.epochs):
        unet.train()
        rng = np.random.default_rng([1, epoch])
        for batch in rng.permutation(settings.films).reshape(steps, 25):
            pairs = [seen(films[i].film, films[i].lungs, rng) for i in batch]
            x, y = (torch.from_numpy(np.stack(column))[:, None].float() for column in zip(*pairs, strict=True))
            optimiser.zero_grad()
            loss(unet(x), y).backward()
            optimiser.step()
            schedule.step()
    weights = unet.eval().folded()
    stream = io.BytesIO()
    np.savez_compressed(stream, **weights)
    write_bytes(settings.out, stream.getvalue())
    judge({name: value.astype(np.float32) for name, value in weights.items()})


def judge(weights: dict[str, NDArray[np.float32]]) -> None:
    """Print the overlap with the truth on drawn films of other patients, shown as bent and exposed as in training."""
    rng = np.random.default_rng(2)
    found = []
    for i in range(200):
        phantom = draw((101, i), i % 2 == 1, side=144)
        gray, lungs = seen(phantom.film, phantom.lungs, rng)
        found.append(dice(network(gray, weights) > 0, lungs > 0.5))
    print(f"Dice on 200 drawn films of other patients: mean {np.mean(found):.3f}, lowest {min(found):.3f}")


if __name__ == "__main__":
    main()
