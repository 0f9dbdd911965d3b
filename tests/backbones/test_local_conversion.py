"""Means over windows: equal to pooling, in every size and precision."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.nafnet import local_mean, spread, window_side

sides = st.integers(1, 20)


@settings(max_examples=50, deadline=None)
@given(sides, sides, st.integers(1, 24))
def test_local_mean_equals_pooling_with_stride_one(height, width, window):
    """Windows that lie within the features have the mean of average pooling; a shorter side is pooled whole."""
    features = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    pooled = F.avg_pool2d(features, (min(window, height), min(window, width)), stride=1)
    torch.testing.assert_close(local_mean(features, window), pooled)


@settings(max_examples=50, deadline=None)
@given(sides, sides, st.integers(1, 24))
def test_spread_centres_the_windows(height, width, window):
    """Each pixel has the value of the window around it, and near the border of the nearest one."""
    features = torch.empty(1, 1, height, width)
    rows, columns = (max(side - window, 0) + 1 for side in (height, width))
    numbers = torch.arange(rows * columns, dtype=torch.float32).view(1, 1, rows, columns)
    whole = spread(numbers, features).expand(1, 1, height, width)
    for row in range(height):
        for column in range(width):
            nearest = [
                min(max(place - (side - count) // 2, 0), count - 1)
                for place, side, count in ((row, height, rows), (column, width, columns))
            ]
            assert whole[0, 0, row, column] == numbers[0, 0, nearest[0], nearest[1]]


def test_local_mean_keeps_its_digits_on_large_images():
    """At 2000 pixels a side, where sums over the image reach millions, the mean is exact to 1e-5."""
    features = 1 + torch.rand(1, 1, 2000, 2000, generator=torch.Generator().manual_seed(0))
    exact = local_mean(features.double(), 384)
    assert (local_mean(features, 384) - exact).abs().max() < 1e-5


def test_local_mean_survives_half_precision():
    """Sums beyond the range of float16 do not overflow."""
    features = torch.full((1, 2, 40, 40), 1000.0, dtype=torch.float16)
    assert torch.equal(local_mean(features, 24), torch.full((1, 2, 17, 17), 1000.0, dtype=torch.float16))


@pytest.mark.parametrize(("level", "side"), [(0, 384), (1, 192), (4, 24)])
def test_windows_shrink_with_the_features(level, side):
    """For patches of 256 px the windows are 384 px, 192 at half the size, and so on."""
    assert window_side(256, 16, level) == side


def test_windows_are_of_padded_patches():
    """A patch of 100 px that is padded to 112 has at 1/16 of the size 7 pixels, and a window of 10."""
    assert window_side(100, 16, 4) == 10
