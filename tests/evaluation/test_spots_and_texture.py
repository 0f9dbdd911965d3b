"""The spots of a pair, and the band of an image that texture is measured in."""

import numpy as np
import pytest

from benchmark.evaluation.metrics import find_spots
from benchmark.evaluation.metrics.texture import texture_band


def flat(value, height=15, width=17):
    """A grey image."""
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("change", [-31, 31])
def test_one_channel_over_the_threshold_makes_a_spot(channel, change):
    """One pixel with one channel 31 levels off, up or down, is a spot of 5 x 5 pixels around it."""
    degraded = flat(100)
    degraded[7, 8, channel] = 100 + change
    expected = np.zeros((15, 17), bool)
    expected[5:10, 6:11] = True
    assert np.array_equal(find_spots(degraded, flat(100)), expected)


def test_thirty_levels_are_no_spot():
    """A difference of 30 levels in every channel is background."""
    assert not find_spots(flat(100), flat(130)).any()


def test_difference_does_not_wrap_around():
    """Black against white is a spot, although the bytes differ by one."""
    assert find_spots(flat(0), flat(255)).all()


def test_spot_in_a_corner_is_cut_off():
    """Dilation stops at the border and does not come in on the other side."""
    degraded = flat(100)
    degraded[0, 0] = 200
    spots = find_spots(degraded, flat(100))
    assert spots.sum() == 9
    assert spots[:3, :3].all()


def wave(period, height=48, width=48):
    """A grey horizontal wave of amplitude 100 around 120, not rounded to whole levels."""
    row = 120 + 100 * np.cos(2 * np.pi * np.arange(width) / period)
    return np.repeat(np.repeat(row[None, :, None], height, axis=0), 3, axis=2)


@pytest.mark.parametrize(("period", "kept"), [(2, 1.0), (3, 0.75), (4, 0.5), (6, 0.25), (8, 0.1464)])
def test_texture_band_keeps_short_periods(period, kept):
    """The amplitude kept of a wave is sin^2(pi / period): half at 4 px, a seventh at 8 px."""
    image = np.rint(wave(period)).astype(np.uint8)
    inside = (slice(None), slice(1, -1))
    ratio = texture_band(image)[inside].std() / 1000 / wave(period)[..., 0][inside].std()
    assert ratio == pytest.approx(kept, abs=0.01)


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_flat_image_has_exactly_no_texture(value):
    """Rounding errors leave nothing behind on a flat image, whatever its colour."""
    image = flat(value)
    image[..., 1] = 255 - value
    assert not texture_band(image).any()
