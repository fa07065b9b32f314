"""A batch of films as if each had been taken and stored like its donor: `lucency.data.reacquire`, many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from lucency.data.acquisition import BLACK, CHEST, SCALES, SHARES, SIDE, WIDEST, Acquisition
from lucency.data.reacquire import (
    BLURRIEST,
    CENTRAL,
    FAINTER,
    GRAINLESS,
    HALO,
    LOWERED,
    PASSES,
    QUALITY,
    SHARPEST,
    STEPS,
    STRONGER,
    TONE,
)
from lucency.train.seen.matrices import blurring, both, cubic, resizing, through

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of the 64 frequencies at quality 50 (ISO/IEC 10918-1, table K.1)."""
EVERY = 4
"""Pixels between those that stand for the coarsest scale's gray levels, which are smooth."""
FEW = 2
"""Pixels between those that noise is measured at: a quarter of them says as much."""


@dataclass(frozen=True)
class Traits:
    """The acquisition of n films, in numbers."""

    aspect: Tensor
    """float32 (n,)."""
    sharpness: Tensor
    """float32 (n,)."""
    tone: Tensor
    """float32 (n, 17)."""
    noise: Tensor
    """float32 (n,)."""
    border: Tensor
    """float32 (n, 4): top, bottom, left, right."""
    contrast: Tensor
    """float32 (n, 3, 2)."""

    @classmethod
    def of(cls, found: Sequence[Acquisition], device: torch.device) -> Traits:
        """As tensors on a device."""

        def column(name: str) -> Tensor:
            return torch.tensor(np.array([getattr(one, name) for one in found]), dtype=torch.float32, device=device)

        return cls(*(column(name) for name in cls.__dataclass_fields__))

    def pick(self, chosen: Tensor) -> Traits:
        """Those of the films `chosen`, int64 (b,)."""
        return Traits(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Draws:
    """What chance decides about b films."""

    lie: Tensor
    """(b,): where the kept part of a cropped film lies, in CENTRAL."""
    pixels: Tensor
    """(b,): through how many pixels a film is seen, in LOWERED."""
    quality: Tensor
    """(b,): of JPEG, in QUALITY."""
    grain: Tensor
    """float32 (b, SIDE, SIDE): white noise of deviation 1."""

    @classmethod
    def by(cls, generator: torch.Generator, count: int, device: torch.device) -> Draws:
        """Draw for `count` films."""
        share = torch.rand((3, count), generator=generator, device=device)
        grain = torch.randn((count, SIDE, SIDE), generator=generator, device=device)
        spans = (CENTRAL, (LOWERED[0], LOWERED[1] + 1), (QUALITY[0], QUALITY[1] + 1))
        lie, pixels, quality = (low + drawn * (high - low) for drawn, (low, high) in zip(share, spans, strict=True))
        return cls(lie, pixels.floor(), quality.floor(), grain)


def reacquire(films: Tensor, own: Tensor, donors: Traits, marks: Tensor, draws: Draws) -> Tensor:
    """Films as they would be, had each been acquired like its donor, all parts at once.

    Args:
        films: float32 (b, SIDE, SIDE) of whole gray levels, burnt-in letters painted over.
        own: float32 (b,), their width over height.
        donors: of b films.
        marks: (b, SIDE, SIDE), the gray of the donors' letters, 0 elsewhere.
        draws: what chance decides.

    Returns:
        float32 (b, SIDE, SIDE), whole gray levels.
    """
    films = torch.where(marks > 0, marks.float(), films)
    films = shaped(films, own, donors, draws)
    films = toned(films, donors.tone)
    films = contrasted(films, donors.contrast)
    films = grained(films, donors.noise, draws.grain)
    films = stored(films, draws.quality)
    return sharpened(films, donors.sharpness)


def shaped(films: Tensor, own: Tensor, donors: Traits, draws: Draws) -> Tensor:
    """Borders, width over height and resolution like the donors': all three in one product."""
    top, bottom, left, right = borders(films).unbind(1)
    above, below, before, after = donors.border.unbind(1)
    rows = _framing(top, bottom, above, below)
    columns = _framing(left, right, before, after)
    ratio = own / donors.aspect
    seen = through(draws.pixels, SIDE, cubic)
    rows = seen @ _cropping(ratio.clamp(max=1), draws.lie) @ rows
    columns = seen @ _cropping((1 / ratio).clamp(max=1), draws.lie) @ columns
    return whole(rows @ films @ columns.transpose(1, 2))


def borders(films: Tensor) -> Tensor:
    """Black lines at top, bottom, left and right: float32 (b, 4). As `lucency.data.acquisition.border`."""
    dark = (films <= BLACK).float()
    rows, columns = dark.mean(dim=2) >= 0.9, dark.mean(dim=1) >= 0.9
    sides = (rows, rows.flip(1), columns, columns.flip(1))
    return torch.stack([line[:, :WIDEST].float().cumprod(dim=1).sum(dim=1) for line in sides], dim=1)


def _framing(low: Tensor, high: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Cut `low` and `high` lines off and lay what remains within `before` and `after` black ones: (b, SIDE, SIDE)."""
    return resizing(low, SIDE - high, SIDE, SIDE, first=before, count=SIDE - before - after, cropped=True)


def _cropping(share: Tensor, lie: Tensor) -> Tensor:
    """Keep a share of the lines, lying where `lie` says in the room left over, stretched: (b, SIDE, SIDE)."""
    low = SIDE * (1 - share) * lie
    return resizing(low, low + SIDE * share, SIDE, SIDE)


def toned(films: Tensor, wanted: Tensor) -> Tensor:
    """Gray levels go TONE of the way to the donors' quantiles, (b, 17)."""
    here = quantiles(films)
    rising = here + 1e-3 * torch.arange(1, len(SHARES) + 1, device=films.device)
    moved = rising + TONE * (wanted - rising)
    low, high = torch.zeros_like(here[:, :1]), torch.full_like(here[:, :1], 256.0)
    return looked_up(films, interpolated(torch.cat([low, rising, high], 1), torch.cat([low, moved, high], 1)))


def quantiles(films: Tensor) -> Tensor:
    """Gray levels of the chest at SHARES, float32 (b, 17), of films in whole gray levels."""
    chest = films[:, CHEST, CHEST].flatten(1).long()
    below = histogram(chest).cumsum(dim=1)
    rank = torch.tensor(SHARES, dtype=torch.float32, device=films.device) * (chest.shape[1] - 1)
    first = torch.searchsorted(below, rank.floor().expand(len(films), -1).contiguous(), right=True).float()
    second = torch.searchsorted(below, rank.floor().expand(len(films), -1) + 1, right=True).float()
    return first + (second - first) * (rank - rank.floor())


def histogram(levels: Tensor) -> Tensor:
    """How many pixels have each of the 256 grays: int64 (b, k) to float32 (b, 256)."""
    shifted = levels + 256 * torch.arange(len(levels), device=levels.device)[:, None]
    return torch.bincount(shifted.flatten(), minlength=256 * len(levels)).view(-1, 256).float()


def interpolated(places: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear curves through ascending places, (b, k) both, at the 256 grays: float32 (b, 256)."""
    grays = torch.arange(256.0, device=places.device).expand(len(places), -1).contiguous()
    after = torch.searchsorted(places.contiguous(), grays, right=True).clamp(1, places.shape[1] - 1)
    (x0, x1), (y0, y1) = ((row.gather(1, after - 1), row.gather(1, after)) for row in (places, values))
    return y0 + (grays - x0) / (x1 - x0) * (y1 - y0)


def looked_up(films: Tensor, curve: Tensor) -> Tensor:
    """The gray that each gray becomes, curves (b, 256)."""
    return whole(curve).gather(1, films.flatten(1).long()).view_as(films)


def contrasted(films: Tensor, wanted: Tensor) -> Tensor:
    """Detail as strong as the donors', (b, 3, 2): scale by scale, where the chest is dark and where it is bright."""
    seen = _pyramid(films.device)
    for _ in range(PASSES):
        scales = [both(matrix, films) for matrix in seen]
        bright = _brightness(scales[-1])
        moved = films - scales[0] + scales[-1]
        for band, (finer, coarser) in enumerate(pairwise(scales)):
            detail = finer - coarser
            dark, light = (_factor(detail, zone, wanted[:, band, at]) for at, zone in enumerate((1 - bright, bright)))
            moved = moved + detail * torch.lerp(dark[:, None, None], light[:, None, None], bright)
        films = moved
    return whole(films)


def _factor(detail: Tensor, zone: Tensor, wanted: Tensor) -> Tensor:
    """By what detail in a zone is to be multiplied, (b,)."""
    weights = zone[:, CHEST, CHEST]
    power = (detail[:, CHEST, CHEST] ** 2 * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1)
    return (wanted / power.sqrt().clamp(min=0.1)).clamp(FAINTER, STRONGER)


def _brightness(base: Tensor) -> Tensor:
    """0 in the darkest quarter of the chest, 1 in the brightest: (b, SIDE, SIDE)."""
    few = base[:, CHEST, CHEST][:, ::EVERY, ::EVERY].flatten(1)
    low, high = torch.quantile(few, torch.tensor((0.25, 0.75), device=base.device), dim=1)[:, :, None, None]
    share: Tensor = ((base - low) / (high - low).clamp(min=1)).clamp(0, 1)
    return share


@cache
def _pyramid(device: torch.device) -> list[Tensor]:
    """For each of SCALES, the matrix that sees a film through so many pixels: (1, SIDE, SIDE)."""
    return [through(torch.tensor([float(side)], device=device), SIDE, cubic) for side in SCALES]


def grained(films: Tensor, wanted: Tensor, grain: Tensor) -> Tensor:
    """As noisy as the donors, (b,): white noise added, or fine grain taken away."""
    smooth = both(blurring(torch.full((1,), GRAINLESS, device=films.device), SIDE), films)
    here, there = _unplaned(films), _unplaned(smooth)  # noise is linear in the film up to its absolute value
    have = _spread(here)
    share = search(lambda k: -_spread(torch.lerp(here, there, k[:, None])), -wanted, 1.0)
    added = films + grain * (wanted**2 - have**2).clamp(min=0).sqrt()[:, None, None]
    return whole(torch.where((have <= wanted)[:, None, None], added, torch.lerp(films, smooth, share[:, None, None])))


def _unplaned(films: Tensor) -> Tensor:
    """What cancels planes and straight edges, (b, k): the second difference along rows of that along columns."""
    across = (2 * films[:, :, 1:-1] - films[:, :, :-2] - films[:, :, 2:])[:, :, ::FEW]
    return (2 * across[:, 1:-1] - across[:, :-2] - across[:, 2:])[:, ::FEW].flatten(1)


def _spread(left: Tensor) -> Tensor:
    """The standard deviation of noise, as `lucency.data.acquisition.noise`: from the smaller half of what is left."""
    sizes = left.abs()
    half = sizes <= sizes.median(dim=1, keepdim=True).values
    return (sizes * half).sum(dim=1) / half.sum(dim=1) / (2 * 0.3247 * 3)


def stored(films: Tensor, quality: Tensor) -> Tensor:
    """Stored as gray JPEG once more, at qualities (b,) of 50 and more, and read again."""
    base = torch.tensor(LUMINANCE, dtype=torch.float32, device=films.device)
    steps = ((base * (200 - 2 * quality)[:, None, None] + 50) / 100).floor().clamp(1, 255)[:, None, None]
    waves = _cosines(films.device)
    blocks = (films - 128).unfold(1, 8, 8).unfold(2, 8, 8)
    kept = ((waves @ blocks @ waves.T) / steps).round() * steps
    return whole((waves.T @ kept @ waves).permute(0, 1, 3, 2, 4).reshape(films.shape) + 128)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The discrete cosine transform of eight pixels, (8, 8)."""
    place = torch.arange(8.0, device=device)
    waves = torch.cos(torch.pi * place[:, None] * (2 * place[None, :] + 1) / 16) / 2
    waves[0] /= 2**0.5
    return waves


def sharpened(films: Tensor, wanted: Tensor) -> Tensor:
    """As sharp as the donors, (b,): blurred, or masked unsharply."""
    blunt = sharpness(films) > wanted
    if bool(blunt.any()):
        sharp, goal = films[blunt], wanted[blunt]

        def blurred(sigma: Tensor) -> Tensor:
            return both(blurring(sigma, SIDE), sharp)

        sigma = search(lambda k: -sharpness(blurred(k)), -goal, BLURRIEST)
        films = films.index_put((blunt,), blurred(sigma))
    if not bool(blunt.all()):
        flat, goal = films[~blunt], wanted[~blunt]
        detail = flat - both(blurring(torch.full((1,), HALO, device=films.device), SIDE), flat)

        def masked(amount: Tensor) -> Tensor:
            return torch.addcmul(flat, detail, amount[:, None, None]).clamp(0, 255)

        films = films.index_put((~blunt,), masked(search(lambda k: sharpness(masked(k)), goal, SHARPEST)))
    return whole(films)


def sharpness(films: Tensor) -> Tensor:
    """Mean |4 p - up - down - left - right|, (b,): as `lucency.data.acquisition.sharpness`."""
    inner = 4 * films[:, 1:-1, 1:-1] - films[:, 1:-1, :-2] - films[:, 1:-1, 2:]
    return (inner - films[:, :-2, 1:-1] - films[:, 2:, 1:-1]).abs().mean(dim=(1, 2))


def search(measure: Callable[[Tensor], Tensor], wanted: Tensor, most: float) -> Tensor:
    """For each film the number from 0 to `most` whose measure, rising, comes nearest below `wanted`: (b,)."""
    low, high = torch.zeros_like(wanted), torch.full_like(wanted, most)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = measure(middle) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def whole(films: Tensor) -> Tensor:
    """Whole gray levels from 0 to 255."""
    return films.round().clamp(0, 255)
