"""Photographs of a film, drawn: on a light box or in a dim room, seen at an angle, with noise and uneven light."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lucency.data.phantom import draw

Corners = list[tuple[float, float]]
"""Top left, top right, bottom right, bottom left, in pixels."""
WIDTH, HEIGHT = 640, 480


def photograph(seed: int, around: int, noise: float = 3.0, room: int | None = None) -> tuple[Image.Image, Corners]:
    """A film with `around` as the gray of what surrounds it, and where its corners are.

    `room`: the gray beyond that, where the light box ends within the picture.
    """
    rng = np.random.default_rng(seed)
    drawn = 0.9 * draw(seed, ill=bool(seed % 2), side=320).film  # no camera shows all of a film's white as white
    film = Image.fromarray(drawn.astype(np.uint8))
    edge, tall = (25.0, rng.uniform(290, 380)) if room is None else (70.0, rng.uniform(230, 290))
    wide = tall * min(film.width / film.height, 1.3)
    left, top = rng.uniform(edge, WIDTH - edge - wide), rng.uniform(edge - 5, HEIGHT - edge + 5 - tall)
    square = [(left, top), (left + wide, top), (left + wide, top + tall), (left, top + tall)]
    corners = [(x + rng.uniform(-16, 16), y + rng.uniform(-16, 16)) for x, y in square]
    seen = film.transform(
        (WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, _back(corners, film.size), Image.Resampling.BICUBIC
    )
    mask = Image.new("L", film.size, 255).transform(
        (WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, _back(corners, film.size), Image.Resampling.BILINEAR
    )
    slope = np.linspace(-12, 12, WIDTH)[None] + np.zeros((HEIGHT, 1))  # no light box is even
    scene = Image.fromarray(np.clip(around + slope, 0, 255).astype(np.uint8))
    if room is not None:
        box = [(left - 50, top - 44), (left + wide + 48, top - 46), (left + wide + 52, top + tall + 45)]
        box.append((left - 47, top + tall + 46))
        lit = Image.new("L", (40, 40), 255).transform(
            (WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, _back(box, (40, 40)), Image.Resampling.BILINEAR
        )
        scene = Image.composite(scene, Image.new("L", scene.size, room), lit)
    scene.paste(seen, (0, 0), mask)
    blurred = np.asarray(scene.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float64)
    return Image.fromarray(np.clip(blurred + rng.normal(0, noise, blurred.shape), 0, 255).astype(np.uint8)), corners


def scene(
    film: Image.Image, seed: int, monitor: bool, frame: int = 0, glare: float = 0, scale: int = 1
) -> tuple[Image.Image, Corners]:
    """A film on a light box, or on a monitor with its grid of pixels, and where its corners are.

    `frame`: which picture of a video, each with other noise and a hand that trembles by a pixel. `glare`: the radius
    of a lamp's reflection, as a share of the film's width. `scale`: pixels of the camera in each pixel of this picture,
    along a side; blur and noise are those of the camera's pixels.
    """
    rng, video = np.random.default_rng(seed), np.random.default_rng((seed, frame))
    tall = min(rng.uniform(300, 390), 520 * film.height / film.width)
    wide = tall * film.width / film.height
    left, top = rng.uniform(25, WIDTH - 25 - wide), rng.uniform(22, HEIGHT - 22 - tall)
    square = [(left, top), (left + wide, top), (left + wide, top + tall), (left, top + tall)]
    corners = [(x + rng.uniform(-18, 18), y + rng.uniform(-18, 18)) for x, y in square]
    trembling = video.normal(0, 1, 2)
    corners = [(x + trembling[0], y + trembling[1]) for x, y in corners]
    size = WIDTH * scale, HEIGHT * scale
    shown = film.resize((int(1.5 * wide), int(1.5 * tall)), Image.Resampling.LANCZOS)
    if monitor:  # each third row and column of its pixels is darker
        y, x = np.indices((shown.height, shown.width))
        shown = Image.fromarray((np.asarray(shown) * np.where((y % 3 == 0) | (x % 3 == 0), 0.8, 1)).astype(np.uint8))
    back = _back([(x * scale, y * scale) for x, y in corners], shown.size)
    seen = shown.transform(size, Image.Transform.PERSPECTIVE, back, Image.Resampling.BICUBIC)
    mask = Image.new("L", shown.size, 255).transform(size, Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR)
    around = rng.uniform(90, 140) if monitor else rng.uniform(225, 250)
    slope = np.linspace(-10, 10, size[0])[None] + np.linspace(-6, 6, size[1])[:, None]  # no light is even
    picture = Image.fromarray(np.clip(around + slope, 0, 255).astype(np.uint8))
    picture.paste(seen, (0, 0), mask)
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.0))), dtype=np.float64)
    noisy = blurred * (1 + slope / 300) + video.normal(0, 3, blurred.shape)
    if glare:
        (x, y), radius = (left + rng.uniform(0.3, 0.7) * wide, top + rng.uniform(0.3, 0.7) * tall), glare * wide
        across, down = (np.arange(side) / scale for side in size)
        noisy += 250 * np.exp(-((np.hypot(across[None] - x, down[:, None] - y) / radius) ** 3))
    taken = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    return taken.reduce(scale), corners


def _back(corners: Corners, size: tuple[int, int]) -> list[float]:
    """Photograph → film, the eight numbers that Pillow takes."""
    width, height = size
    film = [(0, 0), (width, 0), (width, height), (0, height)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, film, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    found: NDArray[np.float64] = np.linalg.solve(np.array(rows, float), np.array(values, float))
    return [float(value) for value in found]


def film_video(path: Path, frames: int = 30) -> Path:
    """A video for Chromium's fake camera: one film on a light box, some noise from frame to frame."""
    scene = np.asarray(photograph(3, 245, noise=0)[0], dtype=np.float64)
    rng = np.random.default_rng(0)
    with path.open("wb") as stream:
        for _ in range(frames):
            noisy = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8)
            picture = io.BytesIO()
            Image.fromarray(noisy).convert("RGB").save(picture, "JPEG", quality=90)
            stream.write(picture.getvalue())
    return path
