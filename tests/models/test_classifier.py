"""The classifier: normalisation and its forward passes."""

from __future__ import annotations

import torch
from torch import nn

from lucency.models.classifier import Classifier
from lucency.models.heads import Linear


def _classifier() -> Classifier:
    return Classifier(nn.Identity(), Linear(3, 1), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0)).eval()


def test_gray_becomes_three_normalised_channels() -> None:
    """Gray 0, 51 and 255 are 0, 0.2 and 1: (x - mean) / std of each channel."""
    film = torch.tensor([0.0, 51.0, 255.0]).reshape(1, 1, 1, 3)
    expected = torch.tensor([[-1.0, -0.6, 1.0], [-1.0, -0.2, 3.0], [0.0, 0.1, 0.5]])
    torch.testing.assert_close(_classifier().normalise(film)[0, :, 0], expected)


def test_normalisation_is_in_the_state_dict() -> None:
    other = Classifier(nn.Identity(), Linear(3, 1), mean=(0, 0, 0), std=(1, 1, 1)).eval()
    classifier = _classifier()
    film = torch.rand(2, 1, 4, 4) * 255
    assert not torch.allclose(other(film), classifier(film))
    other.load_state_dict(classifier.state_dict())
    torch.testing.assert_close(other(film), classifier(film))


def test_forward_forward_map_and_forward_all_agree() -> None:
    classifier = _classifier()
    film = torch.rand(2, 1, 4, 4) * 255
    logits, maps = classifier.forward_map(film)
    torch.testing.assert_close(logits, classifier(film))
    torch.testing.assert_close(maps, classifier.head.map(classifier.activations(film)))
