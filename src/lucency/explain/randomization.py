"""The sanity checks: maps of a network whose weights or labels were made random, and of other seeds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lucency.data.dataset import Dataset
from lucency.explain.faithfulness import Cases, Figure, with_intervals
from lucency.explain.measures import Floats, Map, energy_inside, rank_correlation, structural_similarity, upsample
from lucency.explain.network import Gray, preserve_state
from lucency.models import blocks
from lucency.models.classifier import Classifier
from lucency.progress import track

CHUNK = 16
"""Films in a forward pass."""


def depths(classifier: Classifier, stops: int = 4) -> list[int]:
    """How many blocks, counted from the last, to randomise at each stop of the cascade: 0 is the head alone."""
    count = len(blocks(classifier))
    return sorted({round(count * stop / stops) for stop in range(stops + 1)})


def randomize_weights(classifier: Classifier, depth: int, films: Gray, seed: int = 0) -> Classifier:
    """A copy whose head and last `depth` blocks have random weights.

    Each weight is drawn anew from a normal distribution with the mean and spread of the tensor that it replaces. The
    running means of the norms behind them are taken anew from `films`: left as they were, no signal would live, and
    any method would pass.

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
                _draw(weight, generator)
        _recalibrate_norms([module for part in chosen for module in part.modules()], network, films)
    return network


def _draw(weight: Tensor, generator: torch.Generator) -> None:
    spread = weight.std() if weight.numel() > 1 else weight.abs().max()
    fresh = torch.randn(weight.shape, generator=generator).to(weight)
    weight.copy_(weight.mean() + spread * fresh)


def _recalibrate_norms(modules: list[nn.Module], network: Classifier, films: Gray) -> None:
    """Take the running means of the norms among `modules` from `films`, all other norms as they are."""
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
            network(torch.from_numpy(films[start : start + CHUNK, None].astype(np.float32)).to(device))


OnNetwork = Callable[[Classifier, Gray], Map]
"""(network, a film's square) → its map."""

DRAWS = 3
"""Random networks a stop: one alone may resemble the trained one by luck."""
ALIKE = 0.5
"""A method fails if its maps are more alike than this once the later half of the network is random, beyond doubt (the
interval lies above). With all of it random, guided backpropagation passes too: what the first layers learned draws the
edges. What it does not mind is losing all that tells one finding from another (Adebayo et al. 2018, figure 2)."""


@dataclass(frozen=True)
class Cascade:
    """How alike the maps are to the trained network's as its weights become random from the last layer on."""

    method: str
    blocks: tuple[int, ...]
    """Randomised at each stop, besides the head."""
    figures: tuple[Figure, ...]
    """At each stop: mean similarity over films and draws."""

    @property
    def half(self) -> Figure:
        """Where at least half of the blocks are random, and the head."""
        return next(f for blocks, f in zip(self.blocks, self.figures, strict=True) if 2 * blocks >= self.blocks[-1])

    @property
    def fails(self) -> bool:
        """Whether the map hardly cares that what the later half has learned is gone."""
        return self.half.low is not None and self.half.low > ALIKE


def cascade(
    method: str, explain: OnNetwork, classifier: Classifier, cases: Cases, maps: Sequence[Map], resamples: int
) -> Cascade:
    """Randomise the network from its head to its first block and compare the maps at each stop.

    Likeness is the mean of Spearman's correlation and of the structural similarity of the absolute values (Adebayo et
    al. 2018, section 4): 1 is the same map. Neither alone serves both a map of 16 cells and one of 16,000 pixels.

    Args:
        method: what the explainer is called.
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
    figures = [_mean(f"blocks_{depth}", row, cases, resamples) for depth, row in zip(stops, found, strict=True)]
    return Cascade(method, tuple(stops), tuple(figures))


def untrained_energy_in_lungs(explain: OnNetwork, classifier: Classifier, cases: Cases, resamples: int) -> Figure:
    """Energy in the lungs of the maps of networks that know nothing: what the film's own light and dark gives away."""
    found = np.zeros(len(cases.films))
    for draw in range(DRAWS):
        network = randomize_weights(classifier, depths(classifier)[-1], cases.squares, draw)
        for i, case in enumerate(cases.films):
            found[i] += energy_inside(upsample(explain(network, case.gray), case.gray.shape[0]), case.lungs) / DRAWS
    return _mean("energy_in_lungs_untrained", found, cases, resamples)


def compare_networks(
    name: str, explain: OnNetwork, others: Sequence[Classifier], cases: Cases, maps: Sequence[Map], resamples: int
) -> list[Figure]:
    """How alike other networks' maps are: `name_rank` (Spearman) and `name_structure` (SSIM of what speaks for)."""
    ranks, structures = np.zeros(len(maps)), np.zeros(len(maps))
    for other in track(others, f"comparing {name}", total=len(others)):
        for i, case in enumerate(cases.films):
            evidence = explain(other, case.gray)
            ranks[i] += rank_correlation(evidence, maps[i]) / len(others)
            structures[i] += structural_similarity(np.maximum(evidence, 0), np.maximum(maps[i], 0)) / len(others)
    return [_mean(f"{name}_rank", ranks, cases, resamples), _mean(f"{name}_structure", structures, cases, resamples)]


def similarity(one: Map, other: Map) -> float:
    """Mean of rank correlation and structural similarity, both of absolute values: 1 for the same map."""
    one, other = np.abs(one), np.abs(other)
    return (rank_correlation(one, other) + structural_similarity(one, other)) / 2


def _mean(name: str, values: Floats, cases: Cases, resamples: int) -> Figure:
    def mean(weights: Floats) -> NDArray[np.float64]:
        return np.asarray((weights @ values / weights.sum(axis=1))[:, None])

    found = with_intervals(mean, cases.groups, resamples)
    low, high = (float(v[0]) if np.isfinite(v[0]) else None for v in (found.low, found.high))
    return Figure(name, float(found.value[0]), low, high, len(values))


def with_shuffled_labels(films: Dataset, seed: int) -> Dataset:
    """The same films with their labels permuted, for a network whose maps mean nothing (Adebayo et al. 2018, 3.2)."""
    order = np.random.default_rng([seed, 5]).permutation(len(films))
    pairs = zip(films.samples, order.tolist(), strict=True)
    samples = tuple(replace(sample, label=films.samples[other].label) for sample, other in pairs)
    return replace(films, samples=samples)
