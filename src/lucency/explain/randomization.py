"""Sanity checks: does a map show the network, or only the film? Adebayo et al. 2018.

Maps are compared with those of networks whose weights or labels are random, and of other seeds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from lucency.arrays import Floats, Pixels
from lucency.arrays import Floats32 as Map
from lucency.data.dataset import Dataset
from lucency.explain.faithfulness import Cases, Estimate, mean_estimate
from lucency.explain.measures import energy_inside, rank_correlation, structural_similarity, upsample
from lucency.explain.network import preserve_state
from lucency.models import blocks
from lucency.models.classifier import Classifier
from lucency.preprocess import as_input
from lucency.progress import track

OnNetwork = Callable[[Classifier, Pixels], Map]
"""(network, a film's square) → its map."""

DRAWS = 3
"""Random networks for each stop: one alone may resemble the trained one by chance."""
CHUNK = 16
ALIKE = 0.5
"""A method fails if the whole interval of its similarity lies above this once the later half of the network is random.
With the whole network random, guided backpropagation passes too, since its edges come from the first layers; it ignores
the layers that distinguish findings (Adebayo et al. 2018, figure 2)."""


@dataclass(frozen=True)
class Cascade:
    """How similar the maps stay to the trained network's as its weights become random from the last layer on."""

    method: str
    blocks: tuple[int, ...]
    """Randomised at each stop, besides the head."""
    figures: tuple[Estimate, ...]
    """Mean similarity at each stop, over films and draws."""

    @property
    def half(self) -> Estimate:
        """Where the head and at least half of the blocks are random."""
        return next(f for blocks, f in zip(self.blocks, self.figures, strict=True) if 2 * blocks >= self.blocks[-1])

    @property
    def fails(self) -> bool:
        """Whether the map barely depends on what the later half has learned."""
        return self.half.low is not None and self.half.low > ALIKE


def cascade(
    method: str, explain: OnNetwork, classifier: Classifier, cases: Cases, maps: Sequence[Map], resamples: int
) -> Cascade:
    """Randomise the network from its head to its first block and compare maps at each stop.

    Args:
        method: name of the explainer.
        explain: makes a map of any network.
        classifier: the trained one; left as it is.
        cases: the films.
        maps: the trained network's map of each film.
        resamples: for the intervals.
    """
    stops = depths(classifier)
    found = np.zeros((len(stops), len(cases.films)))
    for number, depth in enumerate(track(stops, f"randomising for {method}", total=len(stops))):
        for draw in range(DRAWS):
            network = randomize_weights(classifier, depth, cases.squares, draw)
            for i, case in enumerate(cases.films):
                found[number, i] += similarity(explain(network, case.gray), maps[i]) / DRAWS
    rows = zip(stops, found, strict=True)
    figures = [mean_estimate(f"blocks_{depth}", row, cases.groups, resamples) for depth, row in rows]
    return Cascade(method, tuple(stops), tuple(figures))


def untrained_energy_in_lungs(explain: OnNetwork, classifier: Classifier, cases: Cases, resamples: int) -> Estimate:
    """Energy in the lungs of the maps of random networks: the baseline from the film's own brightness."""
    found = np.zeros(len(cases.films))
    for draw in range(DRAWS):
        network = randomize_weights(classifier, depths(classifier)[-1], cases.squares, draw)
        for i, case in enumerate(cases.films):
            evidence = upsample(explain(network, case.gray), case.gray.shape[0])
            assert case.lungs is not None
            found[i] += energy_inside(evidence, case.lungs) / DRAWS
    return mean_estimate("energy_in_lungs_untrained", found, cases.groups, resamples)


def compare_networks(
    name: str, explain: OnNetwork, others: Sequence[Classifier], cases: Cases, maps: Sequence[Map], resamples: int
) -> list[Estimate]:
    """How similar other networks' maps are: `name_rank` (Spearman) and `name_structure` (SSIM of positive evidence)."""
    found: dict[str, Floats] = {f"{name}_rank": np.zeros(len(maps)), f"{name}_structure": np.zeros(len(maps))}
    for other in track(others, f"comparing {name}", total=len(others)):
        for i, case in enumerate(cases.films):
            evidence = explain(other, case.gray)
            found[f"{name}_rank"][i] += rank_correlation(evidence, maps[i]) / len(others)
            alike = structural_similarity(np.maximum(evidence, 0), np.maximum(maps[i], 0))
            found[f"{name}_structure"][i] += alike / len(others)
    return [mean_estimate(key, values, cases.groups, resamples) for key, values in found.items()]


def similarity(one: Map, other: Map) -> float:
    """Mean of Spearman's correlation and of SSIM, both of absolute values: 1 for the same map (Adebayo, section 4).

    Neither alone works for both a map of 16 cells and one of 16,000 pixels.
    """
    one, other = np.abs(one), np.abs(other)
    return (rank_correlation(one, other) + structural_similarity(one, other)) / 2


def depths(classifier: Classifier, stops: int = 4) -> list[int]:
    """Blocks to randomise at each stop of the cascade, counted from the last: 0 is the head alone."""
    count = len(blocks(classifier))
    return sorted({round(count * stop / stops) for stop in range(stops + 1)})


def randomize_weights(classifier: Classifier, depth: int, films: Pixels, seed: int = 0) -> Classifier:
    """A copy whose head and last `depth` blocks have random weights.

    Each weight is drawn from a normal distribution with the mean and spread of its tensor. The running means of the
    norms behind them are recalculated from `films`; otherwise no signal would survive and any method would pass.

    Args:
        classifier: left as it is.
        depth: blocks, from the last.
        films: uint8 (n, s, s).
        seed: of the draw.
    """
    network = copy.deepcopy(classifier).eval()
    chosen = [network.head, *reversed(blocks(network)[len(blocks(network)) - depth :])]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in chosen:
            for weight in part.parameters():
                _redraw(weight, generator)
        _recalibrate_norms([module for part in chosen for module in part.modules()], network, films)
    return network


def _redraw(weight: Tensor, generator: torch.Generator) -> None:
    spread = weight.std() if weight.numel() > 1 else weight.abs().max()
    weight.copy_(weight.mean() + spread * torch.randn(weight.shape, generator=generator).to(weight))


def _recalibrate_norms(modules: list[nn.Module], network: Classifier, films: Pixels) -> None:
    """Recalculate the running means of the norms among `modules`; all other norms stay."""
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    with preserve_state(network), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over the batches
            norm.train()
        device = next(network.parameters()).device
        for start in range(0, len(films), CHUNK):
            batch = torch.from_numpy(as_input(films[start : start + CHUNK])).permute(0, 3, 1, 2).contiguous()
            network(batch.to(device))


def with_shuffled_labels(films: Dataset, seed: int) -> Dataset:
    """The same films with their labels permuted, for a network whose maps mean nothing (Adebayo et al. 2018, 3.2)."""
    order = np.random.default_rng([seed, 5]).permutation(len(films))
    pairs = zip(films.samples, order.tolist(), strict=True)
    samples = tuple(replace(sample, label=films.samples[other].label) for sample, other in pairs)
    return replace(films, samples=samples)
