"""The contract of every row of BACKBONES, with either head."""

from __future__ import annotations

import copy
import io
from functools import cache

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from lucency.models import BACKBONES, Classifier, blocks, build, channels
from lucency.models.classifier import HEADS
from lucency.models.flops import count_flops
from lucency.recipe import ModelSettings

WIDTH = 0.25
FINDINGS = 2


@cache
def _classifier(backbone: str, head: str) -> Classifier:
    """A small random network whose norms fit its activations and whose logits differ between films."""
    torch.manual_seed(0)
    settings = ModelSettings(backbone=backbone, width=WIDTH, head=head)  # type: ignore[arg-type]
    classifier = build(settings, FINDINGS)
    with torch.no_grad():
        for part in classifier.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # the average over all films
        classifier.activations(_films(4))
        for part in classifier.head.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, 0, 0.2)
                nn.init.normal_(part.bias, 0, 0.2)
    return classifier.eval()


def _films(count: int, side: int = 64) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(1)) * 255


DEEPER = ("efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3")
"""The same modules as efficientnet_lite0, but more."""
rows = pytest.mark.parametrize(
    "backbone", [pytest.param(name, marks=[pytest.mark.slow] if name in DEEPER else []) for name in BACKBONES]
)
heads = pytest.mark.parametrize("head", HEADS)


@rows
@pytest.mark.parametrize("side", [32, 64, 75])
def test_features_are_the_film_over_32_rounded_up(backbone: str, side: int) -> None:
    classifier = _classifier(backbone, "linear")
    with torch.no_grad():
        found = classifier.activations(_films(1, side))
    assert found.shape == (1, channels(classifier.features), -(-side // 32), -(-side // 32))
    assert found.isfinite().all()


@rows
@heads
def test_map_adds_up_to_the_logit(backbone: str, head: str) -> None:
    classifier = _classifier(backbone, head)
    film = _films(2)
    with torch.no_grad():
        logits, maps = classifier.forward_map(film)
        constant = classifier.head.constant(classifier.activations(film).mean((2, 3)))
        torch.testing.assert_close(logits, classifier(film))
    assert maps.shape == (2, FINDINGS, 2, 2)
    torch.testing.assert_close(maps.mean((2, 3)) + constant, logits, rtol=1e-4, atol=1e-5)
    if head == "linear":
        torch.testing.assert_close(constant, classifier.head.last.bias.expand(2, -1))


@rows
@heads
def test_map_is_grad_cam_by_autograd(backbone: str, head: str) -> None:
    """Selvaraju et al. 2017, eq. 1 and 2 before its ReLU; our map is it times the places, here 2·2."""
    classifier = _classifier(backbone, head)
    with torch.no_grad():
        activations = classifier.activations(_films(1))
        _, maps = classifier.forward_map(_films(1))
    activations.requires_grad_()
    logits = classifier.head(activations.mean((2, 3)))
    for finding in range(FINDINGS):
        (gradient,) = torch.autograd.grad(logits[0, finding], activations, retain_graph=True)
        cam = (gradient.mean((2, 3), keepdim=True) * activations.detach()).sum(1)[0]
        torch.testing.assert_close(maps[0, finding], 4 * cam, rtol=1e-4, atol=1e-5)


@rows
def test_outputs_do_not_depend_on_the_batch(backbone: str) -> None:
    # In double precision: kernels for one film add up in another order than those for several.
    classifier = copy.deepcopy(_classifier(backbone, "linear")).double()
    films = _films(2).double()
    with torch.no_grad():
        once, again, alone = classifier(films), classifier(films), classifier(films[:1])
    assert torch.equal(once, again)
    torch.testing.assert_close(alone, once[:1], rtol=1e-9, atol=1e-10)
    assert not torch.allclose(once[0], once[1], rtol=1e-4)  # or this test could not fail


@rows
def test_weights_round_trip(backbone: str) -> None:
    classifier = _classifier(backbone, "dense128")
    other = build(ModelSettings(backbone=backbone, width=WIDTH, head="dense128"), FINDINGS).eval()
    stream = io.BytesIO(safetensors.torch.save(classifier.state_dict()))
    other.load_state_dict(safetensors.torch.load(stream.getvalue()))
    with torch.no_grad():
        assert torch.equal(other(_films(1)), classifier(_films(1)))


@rows
def test_blocks_have_every_parameter_once_in_order(backbone: str) -> None:
    classifier = _classifier(backbone, "linear")
    held = [id(part) for block in blocks(classifier) for part in block.parameters()]
    assert held == [id(part) for part in classifier.features.parameters()]


@rows
def test_blocks_run_in_their_order(backbone: str) -> None:
    classifier = _classifier(backbone, "linear")
    ran: list[int] = []
    found = blocks(classifier)
    handles = [
        block.register_forward_hook(lambda *_, number=number: ran.append(number)) for number, block in enumerate(found)
    ]
    with torch.no_grad():
        classifier(_films(1, 32))
    for handle in handles:
        handle.remove()
    assert ran == list(range(len(found)))


@rows
def test_channels_last_gives_the_same_outputs(backbone: str) -> None:
    classifier = _classifier(backbone, "linear")
    film = _films(2)
    with torch.no_grad():
        expected = classifier(film)
        found = classifier.to(memory_format=torch.channels_last)(film.to(memory_format=torch.channels_last))
        classifier.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@rows
def test_every_parameter_has_a_gradient(backbone: str) -> None:
    """The loss of the logits has a gradient for each: no part is unused in the forward pass."""
    classifier = build(ModelSettings(backbone=backbone, width=WIDTH), FINDINGS)
    classifier(_films(2)).square().sum().backward()
    assert all(part.grad is not None for part in classifier.parameters())


@rows
def test_counts_equal_the_built_network(backbone: str) -> None:
    """The counting on shapes alone agrees with the tensors of the built classifier."""
    classifier = _classifier(backbone, "dense128")
    counted = count_flops(backbone, WIDTH, 64, "dense128", FINDINGS)
    assert counted.trainable == sum(part.numel() for part in classifier.parameters())
    moments = {"running_mean", "running_var"}
    held = sum(value.numel() for name, value in classifier.named_buffers() if name.rpartition(".")[2] in moments)
    assert counted.parameters == counted.trainable + held


@pytest.mark.long
@rows
def test_forward_map_exports_as_one_graph(backbone: str) -> None:
    """torch.export traces it without data-dependent branches."""

    class WithMap(nn.Module):
        def __init__(self, classifier: Classifier) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
            return self.classifier.forward_map(gray)

    classifier = _classifier(backbone, "dense128")
    with torch.no_grad():
        program = torch.export.export(WithMap(classifier).eval(), (_films(1),))
        logits, maps = program.module()(_films(1))
        expected = classifier.forward_map(_films(1))
    torch.testing.assert_close((logits, maps), expected, rtol=1e-4, atol=1e-5)
