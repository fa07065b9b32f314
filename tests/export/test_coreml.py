"""Core ML: the program that is written, evaluated in numpy, gives the network's outputs; the evaluator is PyTorch's."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lucency.bundle import Bundle
from lucency.errors import BundleError, ExportError
from lucency.export import coreml as target
from lucency.export.network import ExportNetwork
from lucency.files import sha256_bytes
from lucency.reader import coreml

from .small_runs import alive, card_of, few_units, squares

pytest.importorskip("coremltools")
SIDE = 16
RNG = np.random.default_rng(0)


def same(found: np.ndarray, expected: torch.Tensor) -> None:
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.fixture(scope="module")
def network() -> ExportNetwork:
    return ExportNetwork(alive(few_units("linear", 1), SIDE), card_of("binary", "linear", SIDE))


@pytest.fixture(scope="module")
def content(network: ExportNetwork) -> bytes:
    written = target.convert(network, SIDE)
    target.check(written, network.outputs)
    return written


def bundle_of(content: bytes) -> Bundle:
    card = card_of("binary", "linear", SIDE)
    model = card.model.model_copy(update={"format": "coreml", "file": "model.mlpackage.zip"})
    card = card.model_copy(update={"model": model, "files": {model.file: sha256_bytes(content)}})
    return Bundle(Path("small"), card, "", lambda _: content)


def test_outputs_are_the_networks(network: ExportNetwork, content: bytes) -> None:
    films = squares(3, SIDE)
    engine = coreml.open_coreml(bundle_of(content), 1)
    with torch.no_grad():
        for film in films:
            expected = network(torch.from_numpy(film[None, :, :, None].astype(np.float32)))
            same(engine.batch(film[None]).logits, expected["logit"])
            same(engine.batch(film[None]).maps, expected["map"].permute(0, 3, 1, 2))
    assert np.ptp(engine.batch(films).logits) > 0.05


def test_the_same_network_gives_the_same_bytes_and_nothing_of_this_machine(
    network: ExportNetwork, content: bytes
) -> None:
    assert target.convert(network, SIDE) == content
    assert str(Path.cwd()).encode() not in content


def test_other_names_and_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(ExportError, match="expected film → logit, map"):
        target.check(content, ("logit", "map"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in coreml.FILES:
            archive.writestr(name, zipfile.ZipFile(io.BytesIO(content)).read(name))
    for broken in (b"no zip", content[: len(content) // 2], stream.getvalue()):
        with pytest.raises(BundleError, match="expected a zip of stored files"):
            coreml.open_coreml(bundle_of(broken), 1)


@pytest.mark.parametrize(
    ("groups", "stride", "kernel", "dilation"), [(1, 1, 1, 1), (1, 2, 3, 1), (6, 1, 3, 1), (6, 2, 3, 1), (6, 1, 3, 2)]
)
def test_convolutions(groups: int, stride: int, kernel: int, dilation: int) -> None:
    x = RNG.normal(size=(2, 6, 9, 9)).astype(np.float32)
    weight = RNG.normal(size=(6, 6 // groups, kernel, kernel)).astype(np.float32)
    pad, bias = kernel // 2, RNG.normal(size=6).astype(np.float32)
    given = {"x": x, "weight": weight, "bias": bias, "strides": [stride] * 2, "pad": [pad] * 4, "groups": groups}
    tensors = [torch.from_numpy(array) for array in (x, weight, bias)]
    expected = F.conv2d(*tensors, stride, pad, dilation, groups)
    same(coreml.OPERATIONS["conv"]({**given, "dilations": [dilation] * 2}), expected)


def test_padding_and_mirroring() -> None:
    x = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    given = {"x": x, "pad": [0, 1, 2, 0], "mode": "constant", "constant_val": 1.5}
    same(coreml.OPERATIONS["pad"](given), F.pad(torch.from_numpy(x), (2, 0, 0, 1), value=1.5))
    with pytest.raises(BundleError, match="pads by reflect"):
        coreml.OPERATIONS["pad"]({**given, "mode": "reflect"})
    same(coreml.OPERATIONS["reverse"]({"x": x, "axes": [2, 3]}), torch.from_numpy(x).flip(2, 3))


def test_pools_and_resizing() -> None:
    x = RNG.normal(size=(2, 2, 6, 6)).astype(np.float32)
    pool = {"x": x, "kernel_sizes": [3, 3], "strides": [1, 1], "pad_type": "custom", "pad": [1, 1, 1, 1]}
    same(coreml.OPERATIONS["max_pool"](pool), F.max_pool2d(torch.from_numpy(x), 3, 1, 1))
    same(coreml.OPERATIONS["avg_pool"](pool), F.avg_pool2d(torch.from_numpy(x), 3, 1, 1))
    scale = {"x": x, "scale_factor_height": 4.0, "scale_factor_width": 4.0}
    same(
        coreml.OPERATIONS["upsample_bilinear"](scale),
        F.interpolate(torch.from_numpy(x), scale_factor=4, mode="bilinear"),
    )
    same(coreml.OPERATIONS["upsample_nearest_neighbor"](scale), F.interpolate(torch.from_numpy(x), scale_factor=4.0))
    same(coreml.OPERATIONS["tile"]({"x": x, "reps": [3, 1, 2, 1]}), torch.from_numpy(x).repeat(3, 1, 2, 1))
