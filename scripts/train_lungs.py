"""Train the lung segmenter on drawn films, then on its own labels of real ones, and write its weights.

    python scripts/train_lungs.py --out lungs.npz --films FOLDER … --masks FOLDER

1. Draw films of chests that vary more widely than real ones. The mask is everything inside the rib cage above the
   diaphragm beside a strip of spine, with consolidated lung, fluid and heart.
2. Train on them: moved, whitened, exposed and covered at random each time.
3. With `--films` (unlabelled, none of them among `--masks`): two rounds of self-training (pseudo-labels, Lee 2013).
   Label the films, keep the labels that can be trusted, mix in drawn films, train on.
4. Train on, so that the network's output stays when everything around the lungs is exchanged with another
   film's (self-distillation: its own outputs on the unchanged films are the targets).

The shipped src/lucency/models/lungs.npz came from the same steps with settings changed on the way: 4,000 drawn films
for 7 epochs at a learning rate of 4e-3; 4,000 others with fewer white lungs, 8 epochs at 3e-3; 5,000 others with
brighter abdomens, 6 epochs at 3e-3; then two rounds on 5,216 films of children (Kermany et al. 2018) and 523 of adults
(NIH ChestX-ray14), 5 epochs each at 3e-3. This script makes a similar file, not the same one.

Dice of the shipped file on 54 films of published case reports, lungs outlined by people: mean 0.918, lowest tenth
0.881; mean 0.931 without the two films on which people outlined one lung alone. The file before it, whose masks left
out the heart: 0.820 and 0.746. The network never learned from these films, but they served to choose the settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lucency.arrays import Bools, Floats32, Pixels
from lucency.data.phantom import draw_exposure, expose
from lucency.data.phantom.anatomy import Anatomy, Grid, View, draw_anatomy, draw_view, place
from lucency.data.phantom.chest import Chest, air_lost, draw_lesion, render, step
from lucency.errors import FilmError
from lucency.files import walk_files
from lucency.film import open_film
from lucency.lungs import SIDE, dice, network, standardised
from lucency.models.lung_crop import LungSegmenter
from lucency.progress import track

FILM = 2 * SIDE  # rows and columns of a film before it is moved
WHITE, FLUID = 0.08, 0.05  # shares of films with a white lung (drawn, and again in training), with fluid
ROUNDS = ((0.90, 2000, 5), (0.88, 1500, 5))
"""Self-training: least agreement of a label that is kept, drawn films mixed in, epochs."""
VIEWS = ((1, 1.0, 0.0), (-1, 1.0, 0.0), (1, 1.12, 0.03), (-1, 1.12, 0.03))  # of labels: mirrored or not, zoom, shift
OVERLAP = {  # chance, how many, |x|, y / height, half width and height (in half chest widths), opacity, softness
    "arms": (0.35, 3, (0.9, 1.8), (-0.35, 1.0), (0.1, 0.3), (0.4, 1.2), (0.1, 0.5), 0.3),
    "chin": (0.3, 1, (0.0, 0.3), (-0.4, -0.13), (0.3, 0.6), (0.2, 0.45), (0.2, 0.6), 0.25),
    "breasts": (0.3, 2, (0.45, 0.7), (0.7, 1.0), (0.3, 0.5), (0.25, 0.45), (0.03, 0.15), 0.15),
}


def unit(inputs: int, outputs: int) -> nn.Sequential:
    """A unit of LungSegmenter with batch norm, for training."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def fused_weights(net: LungSegmenter) -> dict[str, NDArray[np.float16]]:
    """The weights as lucency.lungs reads them: batch norm folded into the convolutions."""
    found = {}
    for name, part in net.eval().parts.items():
        conv = part if isinstance(part, nn.Conv2d) else fuse_conv_bn_eval(part[0], part[1])  # type: ignore[index]
        found |= {f"{name}.{kind}": value.detach().half().numpy() for kind, value in conv.named_parameters()}
    return found


def draw_film(seed: int) -> tuple[Pixels, Pixels]:
    """Draw a film and its lungs (255, elsewhere 0), each uint8 (192, 192)."""
    rng = np.random.default_rng([7, seed])
    anatomy, view = draw_patient(rng)
    grid = place(anatomy, view, FILM)
    chest = render(anatomy, view, grid)
    off_spine = np.abs(grid.x - anatomy.bend * np.sin(2 * grid.y) - 0.3 * view.turn)
    beside = off_spine > rng.uniform(0.09, 0.14) * (1 + 0.1 * grid.y)
    lungs = (np.abs(grid.x) < chest.cage) & (grid.y < chest.dome) & (grid.y > -0.06) & beside
    lost, fluid = airless(anatomy, grid, chest, rng)
    opacity = chest.tissue - chest.air * (1 - lost) + 0.15 * fluid * lungs
    opacity += surroundings(anatomy, grid, chest, rng)
    film = expose(np.maximum(opacity, 0).astype(np.float32), draw_exposure(rng), rng)
    image = Image.fromarray(film)
    for _ in range(int(rng.integers(1, 5)) if rng.uniform() < 0.5 else 0):  # tubes and wires
        steps = rng.normal(0, np.array(image.size) / 7, (4, 2))
        course = np.cumsum([rng.uniform(0, image.size), *steps], axis=0).ravel().tolist()
        ink, width = int(rng.uniform(120, 255)), int(rng.integers(1, 4))
        ImageDraw.Draw(image).line(course, fill=ink, width=width, joint="curve")
    return _square(image), _square(Image.fromarray((lungs & (film > 0)).astype(np.uint8) * np.uint8(255)))


def _square(image: Image.Image) -> Pixels:
    return np.asarray(image.resize((FILM, FILM), Image.Resampling.BILINEAR))


def draw_patient(rng: np.random.Generator) -> tuple[Anatomy, View]:
    """Between infant and stout adult; half of them as other phantoms are. The view may show neck and belly."""
    anatomy, u, normal = draw_anatomy(rng), rng.uniform, rng.normal
    if u() < 0.5:
        height, gas = u(1.05, 1.9), u(0.1, 0.3) if u() < 0.5 else 0.0
        anatomy = replace(anatomy, height=height, rib_pitch=height / u(6.5, 9.5), bone=u(0.04, 0.24), gas=gas)
        anatomy = replace(anatomy, heart_width=u(0.36, 0.68), heart_height=u(0.38, 0.62), heart_x=u(0.02, 0.2))
        anatomy = replace(anatomy, mediastinum=u(0.14, 0.36), wall=u(0.04, 0.3), air=u(0.3, 0.52))
        anatomy = replace(anatomy, dome_round=u(0.2, 0.8), dome_left=u(-0.08, 0.16), bend=u(-0.1, 0.1))
    view = replace(draw_view(rng), aspect=u(0.85, 1.35), above=u(0.1, 0.75), below=u(0.15, 1), breath=u(0, 0.3) * u())
    return anatomy, replace(view, tilt=normal(0, 0.06), turn=normal(0, 0.06), shift=normal(0, 0.08))


def airless(anatomy: Anatomy, grid: Grid, chest: Chest, rng: np.random.Generator) -> tuple[Floats32, Floats32]:
    """Share of the air lost to lesions, white lungs and fluid; and the fluid alone."""
    lost, fluid, u = np.zeros_like(chest.air), np.zeros_like(chest.air), rng.uniform
    for _ in range(int(rng.integers(1, 4)) if u() < 0.7 else 0):
        lost = np.maximum(lost, air_lost(draw_lesion(rng), anatomy, chest, grid))
    for side in rng.permutation([-1, 1])[: rng.integers(1, 3)] if u() < WHITE else ():
        bump = u(0.03, 0.15) / grid.pixel
        mottle = 0.5 * bump * ndimage.gaussian_filter(rng.standard_normal(lost.shape), bump)
        white = u(0.5, 1.0) + u(-0.5, 0.5) * (grid.y / anatomy.height - 0.5) + mottle
        lost = np.maximum(lost, np.clip(white, 0, 1) * (grid.x * side > 0))
    for side in rng.permutation([-1, 1])[: rng.integers(1, 3)] if u() < FLUID else ():
        meniscus = u(0, 1) * np.clip(np.abs(grid.x) / chest.cage - 0.5, 0, 1) ** 2
        fluid += step(grid.y - u(0.25, 1) * anatomy.height + meniscus, u(0.05, 0.3)) * (grid.x * side > 0)
    return np.maximum(lost, fluid), fluid


def surroundings(anatomy: Anatomy, grid: Grid, chest: Chest, rng: np.random.Generator) -> Floats32:
    """Opacity below the diaphragm, less gas in the bowel, and of what lies over the chest."""
    below, u = grid.y - chest.dome, rng.uniform
    added = u(0, 0.5) * u(0.2, 1) * step(below - 0.02, u(0.04, 0.12)) * step(1.15 - np.abs(grid.x), 0.4)
    for _ in range(int(rng.integers(1, 8)) if u() < 0.5 else 0):
        off = np.hypot((grid.x - u(-0.9, 0.9)) / u(0.8, 2), grid.y - anatomy.height - u(0.12, 0.9))
        added = added - u(0.1, 0.45) * step(u(0.05, 0.22) - off, 0.05) * step(below - 0.03, 0.05)
    for chance, most, x, y, width, height, opacity, soft in OVERLAP.values():
        for _ in range(int(rng.integers(1, most + 1)) if u() < chance else 0):
            down = grid.y - u(*y) * anatomy.height
            right = grid.x - rng.choice([-1, 1]) * u(*x) - u(-0.4, 0.4) * down
            added = added + u(*opacity) * step(1 - np.hypot(right / u(*width), down / u(*height)), soft)
    return np.asarray(added, dtype=np.float32)


def augmented(films: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Films 0..255 and masks 0..1, (n, 1, 192, 192) → standardised (n, 1, 96, 96) and masks (n, 1, 48, 48)."""
    films, masks = moved(films, masks)
    films = whitened(F.avg_pool2d(films, 2), F.avg_pool2d(masks, 2))
    return _normalised(exposed(films)), F.avg_pool2d(masks, 4)


def _normalised(films: Tensor) -> Tensor:
    return (films - films.mean((2, 3), keepdim=True)) / (films.std((2, 3), keepdim=True, unbiased=False) + 1)


def moved(films: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Zoomed, stretched, turned, sheared, shifted, bent and, one in ten, mirrored."""
    u = partial(_uniform, len(films))
    zoom, aspect, mirror = torch.exp(u(-0.45, 0.28)), torch.exp(u(-0.15, 0.15)), 1 - 2.0 * (u() < 0.1)
    angle, shear, x, y = u(-1, 1) * u(0, 0.35), u(-0.15, 0.15), u(-0.25, 0.25) * u(), u(-0.3, 0.3) * u()
    wide, high, cos, sin = aspect / zoom * mirror, 1 / (aspect * zoom), angle.cos(), angle.sin()
    affine = torch.cat([wide * cos, -high * (sin + shear), x, wide * sin, high * cos, y], 1).reshape(-1, 2, 3)
    bend = torch.cat([_ripples(len(films), 4, FILM) for _ in range(2)], 1).permute(0, 2, 3, 1)
    grid = F.affine_grid(affine, list(films.shape), align_corners=False) + 0.02 * bend
    beyond = u(0, 40) * (u() < 0.7)
    films = F.grid_sample(films - beyond, grid, align_corners=False) + beyond
    return films, F.grid_sample(masks, grid, align_corners=False)


def whitened(films: Tensor, masks: Tensor) -> Tensor:
    """A few films with uneven opacity over their lungs, about as bright as what lies around them."""
    u = partial(_uniform, len(films))
    cover = (0.6 * _ripples(len(films), 4, SIDE) + u(-0.8, 0.9)).clamp(0, 1) * (u() < WHITE) * u(0.4, 1)
    cover = cover * _blurred(masks, 1.0)
    around = (films * (1 - masks)).sum((2, 3), keepdim=True) / ((1 - masks).sum((2, 3), keepdim=True) + 1)
    level = torch.maximum(around, films.flatten(1).quantile(0.7, 1).reshape(-1, 1, 1, 1) * u(0.8, 1.15))
    return films * (1 - cover) + (level + 0.15 * (films - level)) * cover


def exposed(films: Tensor) -> Tensor:
    """Another tone curve, contrast, shading, sharpness and noise; up to three letters, shields or wires."""
    u = partial(_uniform, len(films))
    films = 255 * (films.clamp(0, 255) / 255) ** torch.exp(u(-0.7, 0.7))
    harder = (films - 128) * u(0.9, 1.8) + 128 + u(-40, 60)
    films = torch.where(u() < 0.35, harder.clamp(0, 255), films) + _ripples(len(films), 3, SIDE) * u(0, 28)
    if torch.rand(1) < 0.4:  # one width for the whole batch
        films = films + (films - _blurred(films, float(u(2, 8)[0]))) * u(-0.6, 1.5)
    if torch.rand(1) < 0.6:
        films = _blurred(films, float(u(0, 1.3)[0]))
    films = films + torch.randn_like(films) * u(0, 8)
    rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
    for film in films[:, 0]:
        for _ in range(int(rng.integers(0, 4))):
            top, left = rng.integers(0, SIDE, 2)
            high, wide = rng.integers(2, 22, 2) if rng.uniform() < 0.5 else (int(rng.integers(1, 60)), 2)
            film[top : top + high, left : left + wide] = rng.uniform(0, 255)
    return films.clamp(0, 255)


def _blurred(films: Tensor, sigma: float) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(films.numpy(), (0, 0, sigma, sigma), mode="nearest"))


def _uniform(n: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(n, 1, 1, 1) * (high - low) + low


def _ripples(n: int, cells: int, size: int) -> Tensor:
    return F.interpolate(torch.randn(n, 1, cells, cells), size=(size, size), mode="bicubic", align_corners=True)


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, plus one minus the soft Dice overlap of each film."""
    share = logits.sigmoid()
    overlap = (2 * (share * target).sum((1, 2, 3)) + 1) / ((share + target).sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean()


def train(net: LungSegmenter, films: Tensor, masks: Tensor, epochs: int, rate: float) -> None:
    """Train on films and masks, uint8 (n, 1, 192, 192)."""
    batches = [batch for _ in range(epochs) for batch in torch.randperm(len(films)).split(32)]
    optimiser = torch.optim.AdamW(net.train().parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=len(batches))
    for batch in track(batches, "training"):
        pixels, target = augmented(films[batch].float(), masks[batch].float() / 255)
        optimiser.zero_grad()
        loss(net(pixels), target).backward()
        optimiser.step()
        schedule.step()


@torch.no_grad()
def labelled(net: LungSegmenter, films: Tensor) -> tuple[Tensor, Tensor]:
    """Films uint8 (n, 1, 192, 192) → probability of lung (n, 1, 48, 48), mean over VIEWS; least Dice of a view (n,)."""
    net.eval()
    views = []
    for mirror, zoom, down in VIEWS:
        there = torch.tensor([[mirror * zoom, 0, 0], [0, zoom, down]])
        back = torch.tensor([[mirror / zoom, 0, 0], [0, 1 / zoom, -down / zoom]])
        small = F.avg_pool2d(_warped(films.float(), there), 2)
        views.append(_warped(net(_normalised(small)).sigmoid(), back))
    mean = torch.stack(views).mean(0)
    inside, each = mean > 0.5, torch.stack(views) > 0.5
    agreement = 2 * (each & inside).sum((2, 3, 4)) / (each.sum((2, 3, 4)) + inside.sum((1, 2, 3)) + 1)
    return mean, agreement.amin(0)


def _warped(images: Tensor, affine: Tensor) -> Tensor:
    grid = F.affine_grid(affine.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def pseudo_labelled(net: LungSegmenter, films: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """The films whose labels can be trusted, and these, sharpened: uint8 (m, 1, 192, 192)."""
    labels, agreement = map(torch.cat, zip(*(labelled(net, some) for some in films.split(64)), strict=True))
    kept = [
        agree > least and plausible(film, mask)
        for film, mask, agree in zip(films[:, 0].numpy(), (labels[:, 0] > 0.5).numpy(), agreement.tolist(), strict=True)
    ]
    print(f"labels kept: {sum(kept)} of {len(kept)}")
    large = F.interpolate(labels[kept], size=(FILM, FILM), mode="bilinear", align_corners=False)
    return films[kept], (255 * ((large - 0.5) * 4 + 0.5).clamp(0, 1)).byte()


def keep_answers(net: LungSegmenter, films: Tensor, steps: int, rate: float) -> None:
    """Train so that answers on films uint8 (n, 1, 192, 192) stay as they are, whatever surrounds the lungs."""
    targets = torch.cat(
        [net.eval()(_normalised(F.avg_pool2d(some.float(), 2))).detach().sigmoid() for some in films.split(64)]
    )
    known = torch.nonzero((targets > 0.5).float().mean((1, 2, 3)) > 0.08).flatten()
    optimiser = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    for _ in track(range(steps), "exchanging surroundings", steps):  # batch norm stays: half of each batch is pasted
        mine, other = (known[torch.randint(len(known), (16,))] for _ in range(2))
        plain, target = films[mine].float(), targets[mine]
        pasted = exchanged(plain, target, films[other].float(), targets[other])
        varied, moved_target = augmented(pasted, F.interpolate(target, scale_factor=4.0))
        small = [_normalised(F.avg_pool2d(some, 2)) for some in (plain, pasted)]
        logits = net(torch.cat([*small, varied])).split(16)
        apart = (logits[0].sigmoid() - logits[1].sigmoid()).abs().mean()
        parts = (soft_loss(found, true) for found, true in zip(logits, (target, target, moved_target), strict=True))
        optimiser.zero_grad()
        (sum(weight * part for weight, part in zip((1.0, 1.5, 0.5), parts, strict=True)) + apart).backward()  # type: ignore[union-attr]
        optimiser.step()
        schedule.step()


def soft_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and mean absolute difference to probabilities."""
    return F.binary_cross_entropy_with_logits(logits, target) + (logits.sigmoid() - target).abs().mean()


def exchanged(films: Tensor, lungs: Tensor, others: Tensor, their_lungs: Tensor) -> Tensor:
    """Films (n, 1, 192, 192) whose surroundings are others', stretched so that the boxes of the lungs agree.

    Their own pixels stay in and around either's lungs, probabilities (n, 1, 48, 48).
    """
    mine, theirs = _box(lungs > 0.5), _box(their_lungs > 0.5)
    scale = (theirs[:, 2:] - theirs[:, :2]) / (mine[:, 2:] - mine[:, :2])
    offset = scale + 2 * (theirs[:, :2] - scale * mine[:, :2]) - 1
    affine = torch.cat([torch.diag_embed(scale), offset[:, :, None]], 2)
    moved_films, moved_lungs = _warped(others, affine), _warped(their_lungs, affine)
    kept = F.interpolate(torch.maximum(lungs, moved_lungs).gt(0.5).float(), scale_factor=4.0)
    margin, edge = int(torch.randint(3, 14, ())), int(torch.randint(0, 4, ()))
    kept = F.max_pool2d(kept, 2 * margin + 1, 1, margin)
    for _ in range(2):
        kept = F.avg_pool2d(kept, 2 * edge + 1, 1, edge, count_include_pad=False)
    return kept * films + (1 - kept) * moved_films


def _box(mask: Tensor) -> Tensor:
    """Masks (n, 1, k, k) → left, top, right, bottom as shares of the film, (n, 4)."""
    size = mask.shape[-1]
    columns, rows = mask.any(2)[:, 0].float(), mask.any(3)[:, 0].float()
    first = [line.argmax(1) / size for line in (columns, rows)]
    last = [1 - line.flip(1).argmax(1) / size for line in (columns, rows)]
    return torch.stack([*first, *last], 1)


def plausible(film: Pixels, mask: Bools) -> bool:
    """Two large pieces, no third; most lateral columns of one at least end at their strongest dark-to-bright step."""
    sizes = np.sort(np.bincount(ndimage.label(mask)[0].ravel(), minlength=4)[1:])[::-1]
    if sizes[1] <= 0.45 * sizes[0] or sizes[:2].sum() <= 0.1 * mask.size or sizes[2] >= 0.02 * mask.size:
        return False
    steps = np.gradient(ndimage.gaussian_filter(film.astype(np.float32), (3, 2)), axis=0)
    large, rows = mask.repeat(4, axis=0).repeat(4, axis=1), np.arange(FILM)
    top, bottom, columns = large.argmax(0), FILM - 1 - large[::-1].argmax(0), np.flatnonzero(large.any(0))
    height, across = bottom - top, np.interp(rows, columns[[0, -1]], (-1, 1))
    near = (rows[:, None] >= top + 0.45 * height) & (rows[:, None] < bottom + 0.25 * height)
    right = np.abs(np.where(near, steps, -np.inf).argmax(0) - bottom) <= 0.09 * height
    lateral = [(side * across > 0.3) & (side * across < 0.8) & (large.sum(0) >= 20) for side in (-1, 1)]
    return any(right[some].mean() > 0.6 for some in lateral if some.any())


def _read(paths: Iterable[Path]) -> Iterator[Pixels]:
    for path in paths:
        with suppress(FilmError):
            yield _square(Image.fromarray(open_film(path).gray8()))


def evaluate(out: Path, folder: Path) -> None:
    """Print Dice on films/ and masks/ of the same names; the two largest pieces that are found count, holes filled."""
    weights = {name: value.astype(np.float32) for name, value in np.load(out).items()}
    films, found = {path.stem: path for path in (folder / "films").iterdir()}, []
    for path in sorted((folder / "masks").iterdir()):
        film, true = (Image.fromarray(gray) for gray in _read([films[path.stem], path]))
        logits = Image.fromarray(network(standardised(np.asarray(film.reduce(2), dtype=np.float32)), weights))
        pieces, _ = ndimage.label(np.asarray(logits.resize((FILM, FILM), Image.Resampling.BILINEAR)) > 0)
        largest = 1 + np.argsort(np.bincount(pieces.ravel())[1:])[-2:]
        found.append(dice(ndimage.binary_fill_holes(np.isin(pieces, largest)), np.asarray(true) > 127))
    print(f"Dice on {len(found)} films: mean {np.mean(found):.3f}, lowest tenth {np.quantile(found, 0.1):.3f}")


def main() -> None:
    """Draw, train, self-train on real films, write, evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--films", type=Path, nargs="*", default=[], help="folders of unlabelled films")
    parser.add_argument("--masks", type=Path, help="folder with films/ and masks/ to evaluate on")
    parser.add_argument("--count", type=int, default=5000, help="films to draw")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--exchanges", type=int, default=1600, help="steps with exchanged surroundings")
    settings = parser.parse_args()
    torch.manual_seed(0)
    with ProcessPoolExecutor() as pool:
        pairs = pool.map(draw_film, range(settings.count), chunksize=20)
        drawn = np.stack([*track(pairs, "drawing", settings.count)], axis=1)
    films, masks = torch.from_numpy(drawn)[:, :, None]
    net = LungSegmenter(unit)
    train(net, films, masks, settings.epochs, 4e-3)
    paths = [path for folder in settings.films for path in walk_files(folder)]
    real = [*_read(track(paths, "reading films"))]
    for least, mixed, epochs in ROUNDS if real else ():
        more, labels = pseudo_labelled(net, torch.from_numpy(np.stack(real))[:, None], least)
        both = torch.cat([films[:mixed], more]), torch.cat([masks[:mixed], labels])
        train(net, *both, min(epochs, settings.epochs), 3e-3)
    if real:
        keep_answers(net, torch.from_numpy(np.stack(real))[:, None], settings.exchanges, 1e-3)
    np.savez_compressed(settings.out, **fused_weights(net))  # type: ignore[arg-type]
    if settings.masks:
        evaluate(settings.out, settings.masks)


if __name__ == "__main__":
    main()
