"""`lucency models`: tables and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lucency.cli import run


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["models", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.long
def test_all_networks_with_their_exact_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of the papers and of Keras."""
    rows = {row["name"]: row for row in _json(capsys)}
    assert (rows["mobilenet_v1"]["parameters"], rows["mobilenet_v1"]["madds"]) == (4_253_864, 568_740_352)
    assert rows["mobilenet_v2"]["parameters"] == 3_538_984
    assert rows["mobilenet_v2"]["madds"] / 1e6 == pytest.approx(300.77, abs=0.005)
    assert rows["efficientnet_lite4"]["top1"] == 81.5


@pytest.mark.long
def test_the_lecture_network(capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "mobilenet_v2", "--top", "dense128")
    assert found["parameters"] == 2_422_081
    assert sum(layer["madds"] for layer in found["each_layer"]) == found["madds"]
    assert sum(part["weights_share"] for part in found["by_type"].values()) == pytest.approx(1)


def test_width_and_side(capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "mobilenet_v1", "--width", "0.25", "--side", "128")
    assert (found["parameters"], found["top1"]) == (475_544, 41.5)
    assert found["madds"] / 1e6 == pytest.approx(13.57, abs=0.005)


def test_factoring_equals_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    """Full convolutions: 4866 million multiply-adds (table 4 of the MobileNet paper), up to rounding."""
    found = _json(capsys, "mobilenet_v1", "--factoring")
    assert found["whole"]["full_madds"] / 1e6 == pytest.approx(4866, rel=0.0005)
    assert [peer["name"] for peer in found["peers"]] == ["ResNet-50", "Inception V3", "VGG-16", "AlexNet"]
    vgg = found["peers"][2]
    assert vgg["parameters_ratio"] == pytest.approx(138_357_544 / 4_253_864)
    assert vgg["madds_ratio"] == pytest.approx(27.2, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], ["mobilenet_v1", "4,253,864", "568.74", "94.86"]),
        (["mobilenet_v1", "--layers"], ["3,139,584", "74.59", "13.pointwise", "51,380,224", "printed figure is off"]),
        (["mobilenet_v1", "--factoring"], ["4,867,293,184", "8.56×", "Xception"]),
    ],
)
def test_tables(
    arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["models", *arguments]) == 0
    printed = capsys.readouterr().out
    for words in shown:
        assert words in printed


def test_an_unknown_network_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "mobilenetv2"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "lucency: unknown backbone 'mobilenetv2'; did you mean 'mobilenet_v2'?\n"
    assert captured.out == ""
