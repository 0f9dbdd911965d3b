"""The head that writes the restored image itself."""

import pytest
import torch

from heads.rgb import Rgb


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_keeps_height_and_width(kernel_size, padding):
    """Whatever the kernel and the padding, the restored image has the size of the degraded one."""
    head = Rgb(4, kernel_size=kernel_size, padding=padding)
    assert head(torch.rand(2, 4, 7, 9), torch.rand(2, 3, 7, 9)).image.shape == (2, 3, 7, 9)


def test_is_the_convolution_of_the_features():
    """With a 1 x 1 kernel the image is the matrix of weights times the features, plus the bias."""
    head = Rgb(4, kernel_size=1)
    features = torch.rand(2, 4, 5, 6)
    expected = torch.einsum("oi,bihw->bohw", head.conv.weight[:, :, 0, 0], features) + head.conv.bias.view(3, 1, 1)
    restoration = head(features, torch.rand(2, 3, 5, 6))
    torch.testing.assert_close(restoration.image, expected)
    assert restoration.maps == {}


def test_ignores_the_degraded_image():
    """Two degraded images with the same features give the same restored image."""
    head, features = Rgb(4), torch.rand(1, 4, 8, 8)
    first, second = (head(features, torch.rand(1, 3, 8, 8)).image for _ in range(2))
    assert torch.equal(first, second)


def test_reflection_keeps_a_flat_image_flat():
    """Reflect padding leaves no dark frame on constant features, zero padding does."""
    features, degraded = torch.ones(1, 4, 8, 8), torch.zeros(1, 3, 8, 8)
    spread = {}
    for padding in ("reflect", "zeros"):
        image = Rgb(4, padding=padding)(features, degraded).image
        spread[padding] = float((image.amax(dim=(2, 3)) - image.amin(dim=(2, 3))).max().detach())
    assert spread["reflect"] < 1e-6 < spread["zeros"]
