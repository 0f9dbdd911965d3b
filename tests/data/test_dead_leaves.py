"""The dead-leaves source: equal seeds, known truth, the statistics of photographs."""

import numpy as np
import pytest

from benchmark.data.sources.dead_leaves import DeadLeaves, draw_leaves
from benchmark.errors import DataError


def residual_levels(pair):
    """target - (K * degraded + D + degraded), in 8-bit levels."""
    degraded, target = pair.degraded.astype(float), pair.target.astype(float)
    return target - (1 + pair.gain.astype(float)) * degraded - 255 * pair.spots.astype(float)


def spectrum_slope(luminance):
    """Slope of the power spectrum over 4 to 64 cycles an image, in log-log coordinates, under a Hann window."""
    side = len(luminance)
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((luminance - luminance.mean()) * window[:, None] * window)) ** 2
    cycles = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(cycles[:, None], cycles)).astype(int).ravel()
    radial = np.bincount(radius, power.ravel()) / np.bincount(radius)
    return float(np.polyfit(np.log(np.arange(4, 65)), np.log(radial[4:65]), 1)[0])


def test_equal_seeds_draw_equal_images_and_others_differ():
    """An image depends on seed and index alone; a preset changes the damage, not the target."""
    first, again = (DeadLeaves("severe", 3, 96, seed=4).read(2) for _ in range(2))
    assert np.array_equal(first.degraded, again.degraded) and np.array_equal(first.target, again.target)
    assert np.array_equal(first.target, DeadLeaves("contest", 3, 96, seed=4).read(2).target)
    assert not np.array_equal(first.target, DeadLeaves("severe", 3, 96, seed=4).read(1).target)
    assert not np.array_equal(first.target, DeadLeaves("severe", 3, 96, seed=5).read(2).target)


def test_without_damage_the_network_has_nothing_to_do():
    """Preset none: both images are equal, and the maps say that nothing is wrong."""
    pair = DeadLeaves("none", 1, 96).read(0)
    assert np.array_equal(pair.degraded, pair.target)
    assert not pair.gain.any() and not pair.spots.any()


@pytest.mark.parametrize("gain", [True, False])
def test_the_maps_restore_the_target(gain):
    """The equation holds up to noise and rounding, and without `gain` K is 0 while the spots stay."""
    pair = DeadLeaves("severe", 1, 128, seed=1, gain=gain).read(0)
    assert np.sqrt(np.square(residual_levels(pair)).mean()) < 2
    assert bool(pair.gain.any()) is gain
    assert (np.abs(255 * pair.spots.astype(float)) > 30).mean() > 0.002


def test_the_spectrum_is_that_of_photographs():
    """Power falls as in natural images and portraits: exponents from about -2 to -3.5, never the 0 of noise."""
    slopes = [spectrum_slope(draw_leaves(np.random.default_rng(seed), 256).mean(axis=2)) for seed in range(4)]
    assert min(slopes) > -3.5 and max(slopes) < -2


def test_every_pixel_has_a_colour_of_many():
    """Leaves cover the image, colours differ, and values stay in [0, 1]."""
    image = draw_leaves(np.random.default_rng(0), 64)
    assert image.shape == (64, 64, 3) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1
    assert len(np.unique((image * 8).astype(int).reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("options", [{"preset": "mild"}, {"count": 0}, {"size": 32}, {"seed": -1}])
def test_options_out_of_range_are_errors(options):
    """The message names the source and what is allowed."""
    with pytest.raises(DataError, match="dead_leaves"):
        DeadLeaves(**options)
