"""Even out channels before int8: the same function, told in numbers that eight bits hold better.

In int8 all channels of a tensor share one scale, so one wide channel costs the narrow ones their bits. Between two
convolutions a channel may be multiplied by c in the first and divided by c in the second (Nagel et al. 2019,
arXiv:1906.04721, section 4.1); weights have a scale for each channel and lose nothing by it. Here c comes from what the
channels do on training films:

    after ReLU6    c_i = 6 / m_i, at least 1, with m_i the highest value seen and a margin: the clip at 6 stays where it
                   is, and no channel is clipped that was not about to be
    linear         c_i = largest range / range_i, for a whole stream of residual sums at once

each to the power SHARE, since what is gained in the activations is lost in the weights that take them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency.models import Classifier
from lucency.models.layers import Inverted, Unit

SHARE = 1.0
"""Of the evening out that is done: 0 none, 1 all."""
MARGIN = 1.25
"""Room above the highest value seen on the films that are measured."""
MOST = 16.0
"""Largest factor: a channel that hardly spoke on these films may speak on others."""
BATCH = 32


@dataclass(frozen=True)
class Stream:
    """Values that flow from one or several convolutions, summed, to one or several others."""

    makers: list[Unit] = field(default_factory=list)
    takers: list[Unit] = field(default_factory=list)
    sums: list[nn.Module] = field(default_factory=list)
    """Blocks whose output is this stream after a sum."""

    @property
    def clipped(self) -> bool:
        """Whether its values come out of a ReLU6."""
        return any(isinstance(maker.act, nn.ReLU6) for maker in self.makers)


def equalise(classifier: Classifier, squares: NDArray[np.uint8]) -> None:
    """Rescale the channels of a classifier whose norms are folded, in place.

    Args:
        classifier: a copy that may be changed; networks from elsewhere are left as they are.
        squares: uint8 (n, side, side), films to measure on.
    """
    found = [stream for stream in streams(classifier.features) if stream.makers and stream.takers]
    for stream, highest, lowest in zip(found, *_measured(classifier, squares, found), strict=True):
        _rescale(stream, _factors(stream, highest, lowest))


def streams(features: nn.Module) -> Iterator[Stream]:
    """The streams of a backbone of Units and Inverteds, from first to last; none for other networks."""
    blocks = list(features.children())
    if not all(isinstance(block, Unit | Inverted) for block in blocks):
        return
    current = Stream()
    for block in blocks:
        units = [part for part in block.children() if isinstance(part, Unit)] or [block]
        current.takers.append(units[0])  # type: ignore[arg-type]
        for first, second in pairwise(units):
            yield Stream([first], [second])  # type: ignore[list-item]
        if isinstance(block, Inverted) and block.skip:
            current.makers.append(units[-1])  # type: ignore[arg-type]
            current.sums.append(block)
        else:
            yield current
            current = Stream([units[-1]])  # type: ignore[list-item]
    yield current


def _measured(
    classifier: Classifier, squares: NDArray[np.uint8], found: list[Stream]
) -> tuple[list[Tensor], list[Tensor]]:
    """Highest and lowest value of each channel of each stream, over all its makers and sums and all films."""
    highest: list[Tensor] = [torch.full((stream.makers[0].conv.out_channels,), -torch.inf) for stream in found]
    lowest = [torch.full_like(values, torch.inf) for values in highest]

    def watch(number: int) -> object:
        def look(module: nn.Module, taken: object, given: Tensor) -> None:
            highest[number] = torch.maximum(highest[number], given.amax((0, 2, 3)))
            lowest[number] = torch.minimum(lowest[number], given.amin((0, 2, 3)))

        return look

    with ExitStack() as hooks, torch.no_grad():
        for number, stream in enumerate(found):
            for part in (*stream.makers, *stream.sums):
                hooks.callback(part.register_forward_hook(watch(number)).remove)  # type: ignore[arg-type]
        for start in range(0, len(squares), BATCH):
            classifier.activations(torch.from_numpy(squares[start : start + BATCH, None].astype(np.float32)))
    return highest, lowest


def _factors(stream: Stream, highest: Tensor, lowest: Tensor) -> Tensor:
    """Each channel's c."""
    if stream.clipped:
        room = 6 / (MARGIN * highest).clamp_min(6 / MOST)
        return room.clamp(1, MOST) ** SHARE
    spread = (highest.clamp_min(0) - lowest.clamp_max(0)).clamp_min(1e-6)
    return (spread.max() / spread).clamp(1, MOST) ** SHARE


def _rescale(stream: Stream, factors: Tensor) -> None:
    with torch.no_grad():
        for maker in stream.makers:
            assert maker.conv.bias is not None
            maker.conv.weight.mul_(factors[:, None, None, None])
            maker.conv.bias.mul_(factors)
        for taker in stream.takers:
            alone = taker.conv.groups > 1
            taker.conv.weight.div_(factors[:, None, None, None] if alone else factors[:, None, None])
