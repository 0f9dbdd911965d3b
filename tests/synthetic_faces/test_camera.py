"""The camera of the drawn faces, and the statistics that its pictures share with photographs."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.synthetic_faces import draw_portrait
from benchmark.synthetic_faces.attributes import Camera
from benchmark.synthetic_faces.camera import photograph
from benchmark.synthetic_faces.raster import to_srgb

PLAIN = Camera(
    exposure=1.0,
    white_balance=np.ones(3, np.float32),
    contrast=0.0,
    saturation=1.0,
    sharpening=0.0,
    flare=0.0,
    vignette=0.0,
    noise_levels=0.0,
    jpeg_quality=0,
)
# 10th and 90th percentile over 20 photograph-like faces (SFHQ, 256 px). Power: decimal logarithm, Hann window.
PHOTOGRAPHS = {
    "mean level": (85.9, 137.0),
    "saturation, 90th percentile": (0.47, 0.81),
    "power at 32 cycles": (1.79, 2.32),
    "power at 64 cycles": (0.85, 1.36),
    "power at 110 cycles": (-0.21, 0.53),
    "gradient, 90th percentile": (8.65, 15.06),
    "standard deviation of blocks": (7.24, 10.96),
}


def flat_picture(*colour):
    """Linear light of one colour, planes `3 32 32`."""
    return np.broadcast_to(np.float32(colour)[:, None, None], (3, 32, 32))


def taken(picture, **settings):
    return photograph(np.random.default_rng(0), picture, replace(PLAIN, **settings))


def test_a_plain_camera_gives_the_srgb_of_the_light():
    """Without style only the shoulder of the highlights differs from the standard."""
    image = taken(flat_picture(0.2, 0.1, 0.05))
    assert image.shape == (32, 32, 3) and image.dtype == np.float32
    expected = to_srgb(np.float32([0.2, 0.1, 0.05]))
    assert image[16, 16] == pytest.approx(expected, abs=0.01)


def test_each_setting_does_what_its_name_says():
    """Exposure brightens, white balance tints, saturation 0 is grey, contrast spreads, flare lifts black."""
    colour = flat_picture(0.3, 0.1, 0.05)
    assert taken(colour, exposure=2.0).mean() > taken(colour).mean() + 0.05
    red, _, blue = taken(flat_picture(0.2, 0.2, 0.2), white_balance=np.float32([0.8, 1, 1.25])).mean((0, 1))
    assert blue > red + 0.05
    assert np.ptp(taken(colour, saturation=0.0), axis=2).max() < 1e-3
    assert taken(flat_picture(0.6, 0.6, 0.6), contrast=0.7).mean() > taken(flat_picture(0.6, 0.6, 0.6)).mean()
    assert taken(flat_picture(0, 0, 0), flare=0.01).min() > 0.05
    dark = taken(flat_picture(0.4, 0.4, 0.4), vignette=0.5)
    assert dark[0, 0].mean() < dark[16, 16].mean() - 0.1


def test_sharpening_raises_and_jpeg_changes_detail():
    """An edge gets steeper; a compressed picture differs by some levels, more at low quality."""
    edge = np.full((3, 32, 32), 0.1, np.float32)
    edge[:, :, 16:] = 0.5
    soft, sharp = taken(edge), taken(edge, sharpening=1.0)
    assert np.abs(np.diff(sharp, axis=1)).max() > 1.2 * np.abs(np.diff(soft, axis=1)).max()
    noisy = 0.3 + 0.2 * np.random.default_rng(1).random((3, 32, 32), np.float32)
    plain, good, bad = taken(noisy), taken(noisy, jpeg_quality=95), taken(noisy, jpeg_quality=30)
    assert 0.001 < np.abs(good - plain).mean() < np.abs(bad - plain).mean() < 0.1


def test_white_stays_white():
    """Light beyond the sensor's range is cut: values stay in [0, 1] under every style."""
    image = taken(flat_picture(8, 8, 8), contrast=0.7, saturation=1.4, sharpening=1.5, noise_levels=3.0)
    assert image.min() > 0.95 and image.max() <= 1


def test_drawn_faces_have_the_statistics_of_photographs():
    """The median face lies within the spread of photograph-like faces in colour, contrast, spectrum and sharpness."""
    faces = [figures(draw_portrait(np.random.default_rng([5, index]), 256).image * 255) for index in range(30)]
    for name, (low, high) in PHOTOGRAPHS.items():
        assert low < np.median([face[name] for face in faces]) < high, name


def figures(image):
    """The statistics of one image of 256 x 256 pixels, in 8-bit levels."""
    grey = image @ [0.299, 0.587, 0.114]
    side = len(grey)
    most, least = image.max(2), image.min(2)
    saturation = (most - least) / np.maximum(most, 1)
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)) ** 2 / side**2
    cycles = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(cycles[:, None], cycles)).astype(int).ravel()
    radial = np.bincount(radius, power.ravel()) / np.bincount(radius)
    gradient = np.hypot(*np.gradient(grey))
    return {
        "mean level": grey.mean(),
        "saturation, 90th percentile": np.percentile(saturation, 90),
        "power at 32 cycles": np.log10(radial[30:35].mean()),
        "power at 64 cycles": np.log10(radial[60:69].mean()),
        "power at 110 cycles": np.log10(radial[105:116].mean()),
        "gradient, 90th percentile": np.percentile(gradient, 90),
        "standard deviation of blocks": grey.reshape(32, 8, 32, 8).std(axis=(1, 3)).mean(),
    }
