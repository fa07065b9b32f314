"""The films learned from, as squares where the network learns, with what each lends to films of another class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lucency.data.augment import Jitter
from lucency.data.donors import Squares
from lucency.data.reacquire import unlettered
from lucency.progress import track
from lucency.train.seen.jitter import seen_through
from lucency.train.seen.reacquire import Draws, Traits, reacquire


@dataclass(frozen=True)
class Gallery:
    """n films, all on one device; 150 kB a film."""

    squares: Tensor
    """uint8 (n, SIDE, SIDE)."""
    unlettered: Tensor
    """uint8 (n, SIDE, SIDE), burnt-in letters painted over."""
    marks: Tensor
    """uint8 (n, SIDE, SIDE), the gray of burnt-in letters, 0 elsewhere."""
    traits: Traits

    @classmethod
    def of(cls, films: Squares, device: torch.device) -> Gallery:
        """Bring films to a device."""
        work = track(zip(films.pixels, films.acquisitions, strict=True), "painting letters over", total=len(films))
        clean = np.stack([unlettered(square, own.marks > 0) for square, own in work])
        marks = np.stack([own.marks for own in films.acquisitions])
        squares, without, letters = (torch.from_numpy(part).to(device) for part in (films.pixels, clean, marks))
        return cls(squares, without, letters, Traits.of(films.acquisitions, device))

    def seen(
        self,
        chosen: NDArray[np.int64],
        donors: NDArray[np.int64],
        jitters: Sequence[Jitter],
        side: int,
        seed: int,
    ) -> Tensor:
        """Films as they are seen this time.

        Args:
            chosen: int64 (b,), which films.
            donors: int64 (b,), after which film each is re-acquired; below 0 it is not.
            jitters: b of them.
            side: pixels along the square that the network sees.
            seed: of the noise and all else that is drawn here.

        Returns:
            float32 (b, 1, side, side) in 0..255.
        """
        device = self.squares.device
        generator = torch.Generator(device).manual_seed(seed)
        films = self.squares[torch.from_numpy(chosen).to(device)].float()
        (again,) = np.nonzero(donors >= 0)
        if len(again):
            own, donor = (torch.from_numpy(which[again]).to(device) for which in (chosen, donors))
            draws = Draws.by(generator, len(again), device)
            taken = self.unlettered[own].float(), self.traits.aspect[own], self.traits.pick(donor), self.marks[donor]
            films[torch.from_numpy(again).to(device)] = reacquire(*taken, draws)
        return seen_through(jitters, films, side, generator).unsqueeze(1)
