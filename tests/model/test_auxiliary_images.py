"""Auxiliary images of multi-output backbones on their way through the Restorer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from backbones import Backbone, Features
from benchmark.model import Restorer
from heads import Head, Restoration

SCALES = (4, 2, 1)


class Pyramid(Backbone):
    """In training, every fourth, second and single pixel of the image it sees as auxiliary images."""

    def __init__(self, pad_mode: str = "reflect", low: float = 0.0) -> None:
        super().__init__()
        self.out_channels = 3
        self.multiple_of, self.min_side, self.pad_mode, self.input_range = 4, 8, pad_mode, (low, 1.0)

    def forward(self, image: Tensor) -> Tensor | Features:
        return Features(image, tuple(image[..., ::s, ::s] for s in SCALES)) if self.training else image


class Same(Head):
    """Returns the degraded image, and the features as a map."""

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        return Restoration(degraded, {"features": features})


sides = st.integers(1, 40)


@settings(deadline=None)
@given(sides, sides, st.sampled_from(["reflect", "zeros"]), st.sampled_from([0.0, -1.0]))
def test_auxiliary_images_are_cropped_and_mapped_back(height: int, width: int, mode: str, low: float) -> None:
    """They hold the pixels whose area lies within the given image, in [0, 1] whatever range the backbone works in."""
    image = torch.rand(2, 3, height, width)
    restored, maps, auxiliary = Restorer(Pyramid(mode, low), Same()).train()(image)
    assert torch.equal(restored, image)
    torch.testing.assert_close(maps["features"], image * (1 - low) + low)
    for scale, small in zip(SCALES, auxiliary, strict=True):
        expected = image[..., ::scale, ::scale][..., : height // scale, : width // scale]
        torch.testing.assert_close(small, expected)


@pytest.mark.parametrize("sides", [(8, 8), (13, 22)])
def test_eval_mode_has_no_auxiliary_images(sides: tuple[int, int]) -> None:
    """The image and the maps alone, bit for bit those of training mode."""
    net, image = Restorer(Pyramid(), Same()), torch.rand(1, 3, *sides)
    training, restored = net.train()(image), net.eval()(image)
    assert len(training.auxiliary) == len(SCALES)
    assert restored.auxiliary == ()
    assert torch.equal(restored.image, training.image)
    assert torch.equal(restored.maps["features"], training.maps["features"])
