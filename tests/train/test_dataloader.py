"""Batches depend on seed, epoch and index only."""

from __future__ import annotations

import numpy as np
import torch

from data.films import chest
from lucency.recipe import AugmentSettings, DataSettings
from lucency.train.dataloader import Batch, BatchDataset, Examples, train_loader, val_loader

FILMS = torch.from_numpy(np.stack([chest(seed) for seed in range(4)]))
LABELS = torch.tensor([0, 1, 0, 1])
NOISY = Examples(FILMS, LABELS, 64, AugmentSettings(noise=9.0, aspect=(0.8, 1.2)))


def epoch(examples: Examples, seed: int, number: int, batch: int = 2) -> list[Batch]:
    return list(train_loader(examples, DataSettings(imbalance="none"), batch, seed, number))


def test_batches_depend_on_seed_epoch_and_index() -> None:
    first, again = epoch(NOISY, 3, 1), epoch(NOISY, 3, 1)
    assert all(
        torch.equal(a, b) for one, other in zip(first, again, strict=True) for a, b in zip(one, other, strict=True)
    )
    for other in (epoch(NOISY, 4, 1), epoch(NOISY, 3, 2)):
        assert not torch.equal(first[0].inputs, other[0].inputs)


def test_batches_of_an_epoch_are_drawn_independently() -> None:
    batches = BatchDataset(NOISY, np.zeros(2, dtype=np.int64), 1, (0, 0))
    assert not torch.equal(batches[0].inputs, batches[1].inputs)


def test_an_epoch_has_each_film_once() -> None:
    plain = Examples(FILMS, LABELS)
    found = Batch(*(torch.cat(part) for part in zip(*epoch(plain, 0, 0), strict=True)))
    places = [int((film[0] == FILMS).all((1, 2)).nonzero()) for film in found.inputs]
    assert sorted(places) == [0, 1, 2, 3]
    assert torch.equal(found.labels, LABELS[places])


def test_no_batch_has_a_single_film() -> None:
    features = Examples(torch.zeros(7, 3), torch.zeros(7, dtype=torch.int64))
    assert [len(batch.labels) for batch in epoch(features, 0, 0, batch=3)] == [3, 3]


def test_validation_batches_are_in_order_and_not_augmented() -> None:
    (batch,) = val_loader(Examples(FILMS, LABELS), 8)
    assert torch.equal(batch.inputs[:, 0], FILMS.float())
    assert batch.labels.tolist() == [0, 1, 0, 1]
