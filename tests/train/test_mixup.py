from __future__ import annotations

import torch

from lucency.train.batches import Batch
from lucency.train.mixup import mixed

FILMS = 16
BATCH = Batch(
    torch.arange(FILMS, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4),
    torch.arange(FILMS),
    torch.arange(FILMS) % 2 == 1,
)


def test_each_film_is_the_share_of_both() -> None:
    torch.manual_seed(1)
    batch, under, share = mixed(BATCH, 0.4)
    assert 0.5 <= share <= 1
    wanted = share * BATCH.labels.float() + (1 - share) * under.labels.float()
    assert torch.allclose(batch.inputs[:, 0, 0, 0], wanted)
    assert torch.equal(batch.labels, BATCH.labels)
    assert torch.equal(under.inputs[:, 0, 0, 0].long(), under.labels)
    assert torch.equal(under.misled, under.labels % 2 == 1)
    assert sorted(under.labels.tolist()) == list(range(FILMS))


def test_the_draw_is_the_generators() -> None:
    shares = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        shares.append(mixed(BATCH, 0.4)[2])
    assert shares[0] == shares[1] != shares[2]
