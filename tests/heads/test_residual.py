"""The head that adds a correction."""

import torch

from heads.residual import Residual


def test_image_is_degraded_plus_residual():
    """J = I + R, to the bit, with R the map that is handed out."""
    degraded = torch.rand(2, 3, 7, 9)
    restoration = Residual(4)(torch.rand(2, 4, 7, 9), degraded)
    assert torch.equal(restoration.image, degraded + restoration.maps["residual"])


def test_residual_is_the_convolution_of_the_features():
    """With a 1 x 1 kernel the residual is the matrix of weights times the features, plus the bias."""
    head = Residual(4, kernel_size=1)
    features = torch.rand(2, 4, 5, 6)
    expected = torch.einsum("oi,bihw->bohw", head.conv.weight[:, :, 0, 0], features) + head.conv.bias.view(3, 1, 1)
    torch.testing.assert_close(head(features, torch.rand(2, 3, 5, 6)).maps["residual"], expected)


def test_leaves_the_unit_interval():
    """The restored image is not clamped, so that losses keep their gradient."""
    head = Residual(4)
    torch.nn.init.constant_(head.conv.bias, 2.0)
    torch.nn.init.zeros_(head.conv.weight)
    assert torch.equal(head(torch.rand(1, 4, 6, 6), torch.ones(1, 3, 6, 6)).image, torch.full((1, 3, 6, 6), 3.0))
