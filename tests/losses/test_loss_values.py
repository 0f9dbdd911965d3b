"""Every loss against its formula written once more in numpy, in float64."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from heads import Restoration
from losses import Batch
from losses.color import Color
from losses.l1 import L1
from losses.mask_loss import MaskLoss
from losses.ms_ssim import MsSsim
from losses.psnr import Psnr


def random_case(height=24, width=20, seed=0):
    """Restored image, degraded image and target, `2 3 H W` in 8-bit steps, with some strong differences."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 256, (2, 3, height, width))
    degraded = np.clip(target + rng.integers(-60, 61, target.shape), 0, 255)
    restored = np.clip(target + rng.integers(-40, 41, target.shape), 0, 255)
    return [image / 255 for image in (restored, degraded, target)]


def value(loss, restored, degraded, target):
    """The loss of three numpy images."""
    images = [torch.from_numpy(image).float() for image in (restored, degraded, target)]
    batch = Batch(images[1], images[2], torch.zeros_like(images[1][:, :1]))
    return float(loss(Restoration(images[0], {}), batch))


def test_l1():
    """L1 is the mean absolute difference."""
    restored, degraded, target = random_case()
    assert value(L1(), restored, degraded, target) == pytest.approx(np.abs(restored - target).mean(), rel=1e-5)


def test_psnr_is_averaged_over_images():
    """The PSNR loss is minus the mean of the images' PSNR, not the PSNR of the pooled error."""
    restored, degraded, target = random_case()
    restored[1] = target[1] + 0.001
    per_image = [10 * np.log10(((restored[k] - target[k]) ** 2).mean() + 1e-8) for k in range(2)]
    assert value(Psnr(), restored, degraded, target) == pytest.approx(np.mean(per_image), rel=1e-5)


def test_psnr_of_equal_images():
    """Equal images give -80 dB, the floor that the epsilon sets."""
    _, degraded, target = random_case()
    assert value(Psnr(), target, degraded, target) == pytest.approx(-80, abs=1e-4)


def test_blurred_color():
    """The blurred colour loss is the mean squared difference of Gaussian blurs, sigma 3 px, 21 px wide, mirrored."""
    restored, degraded, target = random_case()
    difference = restored - target
    blurred = gaussian_filter(difference, (0, 0, 3, 3), mode="mirror", truncate=10 / 3)
    assert value(Color(), restored, degraded, target) == pytest.approx((blurred**2).mean(), rel=1e-4)


def test_blurred_color_of_a_cast():
    """A constant cast costs its square everywhere, borders included; a checkerboard of the same size nearly nothing."""
    _, degraded, target = random_case()
    board = np.indices(target.shape[2:]).sum(axis=0) % 2 * 2 - 1
    cast = value(Color(), target + 0.1, degraded, target)
    assert cast == pytest.approx(0.01, rel=1e-4)
    assert value(Color(), target + 0.1 * board, degraded, target) < 1e-3 * cast


def test_cosine_color():
    """The cosine colour loss is 1 - cos between RGB vectors with a fourth component of 8/255."""
    restored, degraded, target = random_case()
    first, second = (np.insert(image, 3, 8 / 255, axis=1) for image in (restored, target))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    expected = (1 - (first * second).sum(axis=1) / norms).mean()
    assert value(Color("cosine"), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


def test_cosine_color_is_nearly_blind_to_brightness():
    """Halving the light costs far less than moving as much light to another channel."""
    _, degraded, target = random_case()
    target = target * 0.5 + 0.5
    shifted = target * np.array([0.5, 1.0, 1.5]).reshape(1, 3, 1, 1)
    darker = value(Color("cosine"), target / 2, degraded, target)
    assert darker < 0.05 * value(Color("cosine"), shifted, degraded, target)


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


def test_ms_ssim():
    """The MS-SSIM loss is 1 - MS-SSIM with the window of 11 px and the published weights."""
    restored, degraded, target = random_case(176, 192)
    expected = 1 - reference_ms_ssim(restored, target)
    assert value(MsSsim(), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


def test_ms_ssim_sees_beyond_the_unit_interval():
    """Restored values above 1 cost, because the loss does not clamp."""
    _, degraded, target = random_case(48, 48)
    bright = np.ones_like(target)
    loss = MsSsim(window_size=3)
    assert value(loss, target + (target == 1), degraded, target) > value(loss, target, degraded, target)
    assert value(loss, bright * 2, degraded, bright) > value(loss, bright, degraded, bright) + 0.01


@pytest.mark.parametrize(("window_size", "min_side"), [(11, 161), (7, 97), (3, 33)])
def test_ms_ssim_names_the_least_side(window_size, min_side):
    """One pixel below `min_side` is an error that names it; at `min_side` there is a value."""
    loss = MsSsim(window_size)
    assert loss.min_side == min_side
    value(loss, *random_case(min_side, min_side + 1))
    with pytest.raises(ValueError, match=f"at least {min_side} px"):
        value(loss, *random_case(min_side + 1, min_side - 1))


@pytest.mark.parametrize("window_size", [1, 10, -3])
def test_ms_ssim_refuses_even_windows(window_size):
    """A window without a middle is an error that names the option."""
    with pytest.raises(ValueError, match="window_size must be odd"):
        MsSsim(window_size)


def test_color_refuses_unknown_modes():
    """An unknown mode is an error that names the two that exist."""
    with pytest.raises(ValueError, match="blurred_l2 or cosine"):
        Color("lab")  # pyright: ignore[reportArgumentType]  # the point of the test


def test_mask_loss():
    """The mask loss compares absolute changes where the wanted one is at least 30 levels, over all pixels."""
    restored, degraded, target = random_case()
    wanted = np.rint(255 * np.abs(target - degraded))
    done = 255 * np.abs(restored - degraded)
    expected = np.abs(wanted - done)[wanted >= 30].sum() / wanted.size / 255
    assert value(MaskLoss(), restored, degraded, target) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("level", range(0, 226, 5))
def test_mask_loss_counts_from_exactly_30_levels(level):
    """A difference of 30 levels counts and one of 29 does not, whatever the level it starts from."""
    degraded = np.full((1, 3, 4, 4), level / 255)
    for levels, counts in ((29, False), (30, True)):
        target = np.full_like(degraded, (level + levels) / 255)
        assert (value(MaskLoss(), degraded, degraded, target) > 0) == counts


def test_mask_loss_is_blind_to_the_sign():
    """A change by the right amount in the wrong direction costs nothing; no change costs the whole amount."""
    degraded = np.full((1, 3, 4, 4), 0.5)
    assert value(MaskLoss(), degraded - 0.2, degraded, degraded + 0.2) == pytest.approx(0, abs=1e-6)
    assert value(MaskLoss(), degraded, degraded, degraded + 0.2) == pytest.approx(0.2, rel=1e-5)
