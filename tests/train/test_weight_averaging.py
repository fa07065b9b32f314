from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lucency.bundle import Card, Model, Square, Training
from lucency.data import read_dataset
from lucency.models import build
from lucency.models.run import save_run
from lucency.preprocess import Preprocess
from lucency.reader import Reader
from lucency.recipe import FinetuneSettings, ModelSettings
from lucency.train.weight_averaging import MeanFrom, average_runs, averaging, interpolate_weights


def course(first: int, weights: list[float]) -> list[float]:
    """What the average is after each step."""
    layer = nn.Linear(1, 1, bias=False)
    average, found = AveragedModel(layer, avg_fn=MeanFrom(first)), []
    for weight in weights:
        nn.init.constant_(layer.weight, weight)
        average.update_parameters(layer)
        found.append(average.module.weight.item())
    return found


def test_the_last_weights_until_the_average_begins() -> None:
    assert course(2, [9.0, 5.0, 1.0, 2.0, 6.0]) == pytest.approx([9, 5, 1, 1.5, 3])


def test_from_the_first_step_on() -> None:
    assert course(0, [3.0, 5.0, 10.0]) == pytest.approx([3, 4, 6])


def test_the_recipe_says_which_average() -> None:
    assert averaging(FinetuneSettings(epochs=4), 10) is None
    even = averaging(FinetuneSettings(epochs=4, swa=1, ema=0.9), 10)
    assert even is not None
    assert even._kwargs["avg_fn"].first == 30


def test_interpolated_weights_lie_on_the_line() -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    start = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for value in network.state_dict().values():
            value.add_(4)
    interpolate_weights(network, start, 0.75)
    for name, value in network.state_dict().items():
        moved = 4 if name.endswith("num_batches_tracked") else 3
        assert torch.allclose(value, start[name] + moved)


def test_a_soup_answers_on_average_as_its_networks_do(tmp_path: Path) -> None:
    """Its logits have the mean and spread of the mean logit; of one run it is that run."""
    films = read_dataset("phantom:10")
    shape = {"backbone": "mobilenet_v2", "width": 0.35, "depth": 4}
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = build(ModelSettings.model_validate(shape)).eval()
        torch.nn.init.normal_(network.head.last.weight, 0, 0.3)
        card = Card(
            name="small",
            task="binary",
            labels=("normal", "pneumonia"),
            preprocess=Square(image_size=64),
            model=Model(format="torch", file="model.safetensors", **shape),  # type: ignore[arg-type]
            training=Training(recipe={"name": "small"}),
            licence="Apache-2.0",
        )
        save_run(tmp_path / str(seed), network, card)
        paths.append(tmp_path / str(seed))
    average_runs(paths, films, tmp_path / "soup")
    average_runs(paths[:1], films, tmp_path / "alone")
    squares = np.stack([Preprocess(64, "stretch")(sample.load()) for sample in films.samples])
    answers = [Reader.open(path).read_batch(squares).logits[:, 0] for path in (*paths, tmp_path / "soup")]
    target = np.mean(answers[:2], axis=0)
    assert answers[2].mean() == pytest.approx(target.mean(), abs=1e-3)
    assert answers[2].std() == pytest.approx(target.std(), rel=1e-2)
    alone = Reader.open(tmp_path / "alone").read_batch(squares).logits[:, 0]
    np.testing.assert_allclose(alone, answers[0], atol=1e-3)
