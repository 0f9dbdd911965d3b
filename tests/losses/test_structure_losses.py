"""Losses that look at windows, frequencies and edges, against their formulas written once more in numpy, in float64."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import correlate, gaussian_filter
from skimage.metrics import structural_similarity

from benchmark.registry import Registry
from losses.edge import Edge
from losses.frequency import Frequency
from losses.l1 import L1
from losses.ms_ssim import MsSsim
from losses.ssim import Ssim


def reference_ms_ssim(first, second):
    """MS-SSIM of two images `B C H W` in [0, 1] with sides divisible by 16, after Wang et al. 2003."""
    terms = []
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mean1, mean2 = blur(first), blur(second)
        covariance = blur(first * second) - mean1 * mean2
        variances = blur(first**2) - mean1**2 + blur(second**2) - mean2**2
        term = (2 * covariance + 0.03**2) / (variances + 0.03**2)
        if scale == 4:
            term *= (2 * mean1 * mean2 + 0.01**2) / (mean1**2 + mean2**2 + 0.01**2)
        terms.append(np.maximum(term.mean(axis=(2, 3)), 0) ** weight)
        first, second = halve(first), halve(second)
    return np.prod(terms, axis=0).mean()


def blur(image):
    """Gaussian of sigma 1.5 px, 11 px wide, where the window lies inside."""
    return gaussian_filter(image, (0, 0, 1.5, 1.5), truncate=3.5)[..., 5:-5, 5:-5]


def halve(image):
    """Mean of 2 x 2 pixels."""
    height, width = image.shape[-2] // 2, image.shape[-1] // 2
    return image[..., : 2 * height, : 2 * width].reshape(*image.shape[:2], height, 2, width, 2).mean(axis=(3, 5))


def test_ms_ssim(random_case, value):
    """The MS-SSIM loss is 1 - MS-SSIM with the window of 11 px and the published weights."""
    restored, degraded, target = random_case(176, 192)
    expected = 1 - reference_ms_ssim(restored, target)
    assert value(MsSsim(), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


def test_ms_ssim_sees_beyond_the_unit_interval(random_case, value):
    """Restored values above 1 cost, because the loss does not clamp."""
    _, degraded, target = random_case(48, 48)
    bright = np.ones_like(target)
    loss = MsSsim(window_size=3)
    assert value(loss, target + (target == 1), degraded, target) > value(loss, target, degraded, target)
    assert value(loss, bright * 2, degraded, bright) > value(loss, bright, degraded, bright) + 0.01


@pytest.mark.parametrize(("window_size", "min_side"), [(11, 161), (7, 97), (3, 33)])
def test_ms_ssim_names_the_least_side(window_size, min_side, random_case, value):
    """One pixel below `min_side` is an error that names it; at `min_side` there is a value."""
    loss = MsSsim(window_size)
    assert loss.min_side == min_side
    value(loss, *random_case(min_side, min_side + 1))
    with pytest.raises(ValueError, match=f"at least {min_side} px"):
        value(loss, *random_case(min_side + 1, min_side - 1))


@pytest.mark.parametrize("loss", [Ssim, MsSsim])
@pytest.mark.parametrize("window_size", [1, 10, -3])
def test_even_windows_are_refused(loss, window_size):
    """A window without a middle is an error that names the option."""
    with pytest.raises(ValueError, match="window_size must be odd"):
        loss(window_size)


def test_ssim(random_case, value):
    """The SSIM loss is 1 - SSIM with a Gaussian window of 11 px, sigma 1.5 px, over the region where it fits."""
    restored, degraded, target = random_case(30, 26)
    similarities = [
        structural_similarity(
            first, second, channel_axis=0, data_range=1.0, gaussian_weights=True, use_sample_covariance=False
        )
        for first, second in zip(restored, target, strict=True)
    ]
    assert value(Ssim(), restored, degraded, target) == pytest.approx(1 - np.mean(similarities), rel=1e-4)


@pytest.mark.parametrize("window_size", [11, 7, 3])
def test_ssim_names_the_least_side(window_size, random_case, value):
    """One pixel below the window is an error that names it; at the window there is a value."""
    loss = Ssim(window_size)
    assert loss.min_side == window_size
    value(loss, *random_case(window_size, window_size + 1))
    with pytest.raises(ValueError, match=f"at least {window_size} px"):
        value(loss, *random_case(window_size + 1, window_size - 1))


def test_complex_frequency(random_case, value):
    """The complex form is the mean modulus of the orthonormal transform of the difference."""
    restored, degraded, target = random_case()
    expected = np.abs(np.fft.fft2(restored - target)).mean() / np.sqrt(24 * 20)
    assert value(Frequency(), restored, degraded, target) == pytest.approx(expected, rel=1e-5)


def test_amplitude_frequency(random_case, value):
    """The amplitude form compares the moduli of the two transforms."""
    restored, degraded, target = random_case()
    first, second = (np.abs(np.fft.fft2(image)) / np.sqrt(24 * 20) for image in (restored, target))
    loss = Frequency("amplitude")
    assert value(loss, restored, degraded, target) == pytest.approx(np.abs(first - second).mean(), rel=1e-5)


def test_amplitude_is_blind_to_place(random_case, value):
    """A target moved with wrap-around costs nothing in the amplitude form, and much in the complex one."""
    _, degraded, target = random_case()
    moved = np.roll(target, (3, 5), axis=(2, 3))
    assert value(Frequency("amplitude"), moved, degraded, target) < 1e-5
    assert value(Frequency("complex"), moved, degraded, target) > 0.1


@pytest.mark.parametrize("side", [16, 64])
def test_frequency_has_the_scale_of_l1(side, value):
    """Noise of deviation s costs 0.89 s whatever the patch, 1.11 times its L1; a cast c costs c by the side."""
    target, noise = np.zeros((4, 3, side, side)), np.random.default_rng(0).normal(0, 0.1, (4, 3, side, side))
    loss = value(Frequency(), noise, target, target)
    assert loss == pytest.approx(0.1 * np.sqrt(np.pi) / 2, rel=0.03)
    assert loss / value(L1(), noise, target, target) == pytest.approx(np.sqrt(np.pi / 2 * np.pi / 4), rel=0.03)
    assert value(Frequency(), target + 0.1, target, target) == pytest.approx(0.1 / side, rel=1e-5)


def test_gradient_edge(random_case, value):
    """The gradient form is the mean difference of the differences of neighbours, across and down."""
    restored, degraded, target = random_case()
    across, down = (np.abs(np.diff(restored, axis=a) - np.diff(target, axis=a)).mean() for a in (3, 2))
    assert value(Edge(), restored, degraded, target) == pytest.approx((across + down) / 2, rel=1e-5)


def test_laplacian_edge(random_case, value):
    """The Laplacian form compares each inner pixel minus the mean of its four neighbours."""
    restored, degraded, target = random_case()
    kernel = -np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).reshape(1, 1, 3, 3) / 4
    expected = np.abs(correlate(restored - target, kernel)[..., 1:-1, 1:-1]).mean()
    assert value(Edge("laplacian"), restored, degraded, target) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", ["gradient", "laplacian"])
def test_edge_does_not_see_a_cast(mode, random_case, value):
    """A constant cast costs nothing; in the Laplacian form neither does a ramp."""
    _, degraded, target = random_case()
    ramp = np.linspace(0, 1, 20).reshape(1, 1, 1, 20)
    assert value(Edge(mode), target + 0.1, degraded, target) < 1e-6
    assert (value(Edge(mode), target + ramp, degraded, target) < 1e-6) == (mode == "laplacian")


@pytest.mark.parametrize(("mode", "min_side"), [("gradient", 2), ("laplacian", 3)])
def test_edge_names_the_least_side(mode, min_side, random_case, value):
    """A patch without neighbours is an error that names the least side, not a mean over nothing."""
    loss = Edge(mode)
    assert loss.min_side == min_side
    assert np.isfinite(value(loss, *random_case(min_side, min_side + 1)))
    with pytest.raises(ValueError, match=f"at least {min_side} px"):
        value(loss, *random_case(min_side + 1, min_side - 1))


@pytest.mark.parametrize(
    ("loss", "modes"), [("edge", "'gradient' or 'laplacian'"), ("frequency", "'complex' or 'amplitude'")]
)
def test_unknown_modes_are_refused(loss, modes):
    """An unknown mode is an error that names the two that exist."""
    with pytest.raises(ValidationError, match=modes):
        Registry().create("loss", loss, {"mode": "sobel"})
